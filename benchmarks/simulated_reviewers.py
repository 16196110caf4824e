"""Campaigns judged by reviewers whose error rates are known, by the rules of real ones.

Sample, order, settlement, controls and the corrected share are the program's own; only people are simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.audit.correction import Controls, corrected_share
from app.domain.audit.shares import JudgedStratum, population_share
from app.domain.review import GivenVerdict, ItemState, SlotKind, Verdict, settlement
from app.domain.sampling import draw


@dataclass(frozen=True, slots=True)
class Reviewers:
    """How often reviewers say of a right explanation that it holds (q1), and of a wrong one that it does not (q0)."""

    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign: layers of explanations, of which these shares hold, a sample of them, controls of both kinds."""

    per_layer: int
    shares: Sequence[float]
    n_items: int
    n_controls: int
    n_verdicts: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What one campaign comes to: whether each interval holds the true share, and both shares less the true one."""

    raw_covers: bool
    corrected_covers: bool
    raw_error: float
    corrected_error: float | None
    width: float


def settled(is_right: bool, plan: Plan, reviewers: Reviewers, generator: np.random.Generator) -> bool:
    """Whether reviewers come to say that it holds: verdicts, further ones and an adjudicator's, all of equal skill."""

    def said() -> Verdict:
        chance = reviewers.sensitivity if is_right else 1 - reviewers.specificity
        return Verdict.HOLDS if generator.random() < chance else Verdict.FAILS

    given = [GivenVerdict(said(), SlotKind.REVIEW) for _ in range(plan.n_verdicts)]
    while (found := settlement(given, n_required=plan.n_verdicts)).state is not ItemState.SETTLED:
        given.append(GivenVerdict(said(), found.needs or SlotKind.REVIEW))
    return found.outcome is Verdict.HOLDS


def judged(plan: Plan, reviewers: Reviewers, *, seed: int) -> Judged:
    """One campaign. Equal seeds give equal campaigns."""
    generator = np.random.default_rng(seed)
    n_layers = len(plan.shares)
    layers = np.repeat(np.arange(n_layers), plan.per_layer)
    right = np.concatenate([generator.permutation(np.arange(plan.per_layer) < s * plan.per_layer) for s in plan.shares])
    drawn = draw(layers.tolist(), [f"layer {i}" for i in range(n_layers)], n=plan.n_items, seed=seed)
    said = [settled(bool(right[i]), plan, reviewers, generator) for i in drawn.indices]
    strata = []
    for i, stratum in enumerate(drawn.strata):
        own = [holds for holds, of in zip(said, drawn.strata_of, strict=True) if of == i]
        strata.append(JudgedStratum(stratum.label, stratum.population, stratum.n, len(own), sum(own)))
    n_right = plan.n_controls // 2
    n_wrong = plan.n_controls - n_right
    controls = Controls(
        n_right,
        sum(settled(True, plan, reviewers, generator) for _ in range(n_right)),
        n_wrong,
        sum(not settled(False, plan, reviewers, generator) for _ in range(n_wrong)),
    )
    truth, seen = float(right.mean()), population_share(strata)
    if seen is None:
        raise ValueError("a campaign has at least one item")
    corrected = corrected_share(seen, controls, seed=seed)
    low, high = corrected.interval or (0.0, 1.0)  # without a correction everything is possible
    return Judged(
        raw_covers=seen.interval[0] <= truth <= seen.interval[1],
        corrected_covers=low <= truth <= high,
        raw_error=seen.value - truth,
        corrected_error=None if corrected.value is None else corrected.value - truth,
        width=high - low,
    )
