"""Samples of explanations for a campaign: seeded, simple or stratified, reproducible from the stored frame.

Strata are named by labels. Score bands and firing rates have the same labels as the figures of reports.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from app.domain.marking import N_
from app.domain.review import Stratifier

SCORE_EDGES = (0.2, 0.4, 0.6, 0.8)
SCORE_BANDS = (N_("below 0.2"), N_("0.2 to 0.4"), N_("0.4 to 0.6"), N_("0.6 to 0.8"), N_("0.8 and above"))
NOT_SCORED = N_("not scored")
RATE_EDGES = (0.0001, 0.001, 0.01, 0.1)
RATE_BANDS = (N_("below 0.01 %"), N_("0.01 to 0.1 %"), N_("0.1 to 1 %"), N_("1 to 10 %"), N_("10 % and above"))
NOT_KNOWN = N_("not known")
WHOLE = N_("all")
"""The label of the only stratum of a simple sample."""
FEWEST_PER_STRATUM = 2
"""The variance of a stratum cannot be estimated from a single item."""
HIGHEST_POSITION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the frame: its number of explanations and the number drawn."""

    label: str
    population: int
    n: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample: indices into the frame in ascending order, with the index of the stratum of each."""

    indices: tuple[int, ...]
    strata_of: tuple[int, ...]
    strata: tuple[Stratum, ...]


def score_band(score: float | None) -> str:
    """The label of the score's band."""
    return NOT_SCORED if score is None else SCORE_BANDS[bisect_right(SCORE_EDGES, score)]


def rate_band(firing_rate: float | None) -> str:
    """The label of the firing rate's band; a firing rate is a share of tokens."""
    return NOT_KNOWN if firing_rate is None else RATE_BANDS[bisect_right(RATE_EDGES, firing_rate)]


@dataclass(frozen=True, slots=True)
class Stratified:
    """The properties that decide an explanation's stratum; scores are those of the moment when it was added."""

    layer: int
    headline: float | None
    """The whole-corpus score."""
    score: float | None
    """The 2023 score. The two are never ranked against each other."""
    firing_rate: float | None


def stratum_label(by: Stratifier | None, of: Stratified) -> str:
    """The label of the stratum to which an explanation belongs."""
    match by:
        case None:
            return WHOLE
        case Stratifier.LAYER:
            return f"layer {of.layer}"
        case Stratifier.SCORE_BAND:
            return score_band(of.headline)
        case Stratifier.SCORE_2023_BAND:
            return score_band(of.score)
        case Stratifier.FIRING_RATE:
            return rate_band(of.firing_rate)


def draw(frame_strata: Sequence[int], labels: Sequence[str], *, n: int, seed: int) -> Drawn:
    """A sample of ``n`` members of a frame, or all members if there are fewer.

    ``frame_strata`` holds the stratum of each member as an index into ``labels``. Equal arguments give equal samples.
    ``allocation`` divides the sample among the strata; within a stratum every member is equally likely.
    """
    strata_of = np.asarray(frame_strata, dtype=np.intp)
    populations = np.bincount(strata_of, minlength=len(labels)).tolist()
    sizes = allocation(populations, n)
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    for stratum, size in enumerate(sizes):
        members = np.flatnonzero(strata_of == stratum)
        chosen.extend(generator.choice(members, size, replace=False).tolist())
    indices = sorted(chosen)
    strata = tuple(Stratum(*each) for each in zip(labels, populations, sizes, strict=True))
    return Drawn(tuple(indices), tuple(int(strata_of[i]) for i in indices), strata)


def allocation(populations: Sequence[int], n: int) -> list[int]:
    """The number of draws of each stratum, ``n`` in all: proportional to population, but at least two if available.

    Never more than the stratum has. Sums to ``n``, or to the whole population if that is smaller.
    """
    total = sum(populations)
    n = min(n, total)
    if n == 0:
        return [0] * len(populations)
    least = [min(FEWEST_PER_STRATUM, population) for population in populations]
    if sum(least) > n:
        least = [0] * len(populations)
    free = [population - floor_ for population, floor_ in zip(populations, least, strict=True)]
    rest = n - sum(least)
    wanted = [max(0.0, n * population / total - floor_) for population, floor_ in zip(populations, least, strict=True)]
    scale = rest / sum(wanted) if sum(wanted) else 0.0
    exact = [min(free_, share * scale) for free_, share in zip(free, wanted, strict=True)]
    sizes = [floor_ + floor(share) for floor_, share in zip(least, exact, strict=True)]
    # Largest remainders first; a stratum with no members left is skipped.
    order = sorted(range(len(sizes)), key=lambda i: (floor(exact[i]) - exact[i], -populations[i], i))
    while (missing := n - sum(sizes)) > 0:
        for i in order[: max(missing, 1)] if missing < len(order) else order:
            if sizes[i] < populations[i] and sum(sizes) < n:
                sizes[i] += 1
        order = [i for i in order if sizes[i] < populations[i]]
    return sizes


def positions(n: int, *, seed: int) -> list[int]:
    """Random positions of ``n`` items in the order in which reviewers get them. Equal seeds give equal positions."""
    found: list[int] = np.random.default_rng(seed).integers(0, HIGHEST_POSITION, n, endpoint=True).tolist()
    return found
