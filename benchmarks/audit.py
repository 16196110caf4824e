"""How far an audit's result is from the truth: ``python -m benchmarks.audit [--quick] [--neurons N] [--excerpts N]``.

Among right explanations of the demo's neurons 5, 20 and 50 % are made wrong in a known way: how well do scores and
doubts find them, by the area under the ROC curve and by the share found at 5 % false alarms? Kinds that none of them
finds well are named as missed targets.

Simulated reviewers with known error rates judge campaigns by the rules of real ones; the interval of the corrected
share is to contain the true one in 93 to 97 % of them.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.figures import Figure, Figures, benchmark, held_to, reported
from benchmarks.planted_found import FALSE_ALARMS, found
from benchmarks.simulated_reviewers import Judged, Plan, Reviewers, judged
from benchmarks.truth.__main__ import FULL, QUICK
from benchmarks.truth.planted import Case, cases
from benchmarks.truth.pool import collect_pool

LEAST, MOST = 0.93, 0.97
TYPICAL = 0.2
"""The share of wrong texts for which detectors must reach ``FINDS``."""
FINDS = 0.8
"""The area that the best detector of a kind must reach: below it, no score and no doubt reveals the kind."""
N_CAMPAIGNS, N_QUICK = 1000, 60
LAYERS = (0.5, 0.4, 0.3, 0.25, 0.2, 0.15)
"""The true share that holds, by layer."""
CAMPAIGNS: Mapping[str, tuple[Plan, Reviewers]] = {
    "careful, two verdicts": (Plan(500, LAYERS, 150, 40, 2), Reviewers(0.95, 0.9)),
    "hasty, two verdicts": (Plan(500, LAYERS, 150, 60, 2), Reviewers(0.8, 0.75)),
    "lenient, one verdict": (Plan(500, LAYERS, 300, 60, 1), Reviewers(0.95, 0.7)),
    "few hold": (Plan(500, (0.1, 0.05, 0.05), 200, 60, 2), Reviewers(0.9, 0.85)),
    "a small subject": (Plan(40, (0.6, 0.4), 40, 30, 2), Reviewers(0.85, 0.85)),
}


def measure(quick: bool, neurons: int = FULL.n_neurons, excerpts: int = FULL.n_excerpts) -> Figures:
    """How well wrong explanations are found, and how often intervals of simulated campaigns contain the true share.

    Explanations are those of ``neurons`` neurons of the demo, on ``excerpts`` excerpts of its corpus.
    """
    n_neurons, n_excerpts = (QUICK.n_neurons, QUICK.n_excerpts) if quick else (neurons, excerpts)
    pool = collect_pool(n_excerpts=n_excerpts, n_neurons=n_neurons, seed=0)
    return {**planted(cases(pool, seed=0)), **campaigns(N_QUICK if quick else N_CAMPAIGNS)}


def planted(known: Sequence[Case]) -> Figures:
    """Two figures for each kind of wrong text, share of wrong texts and detector."""
    figures: dict[str, Figure] = {}
    best: dict[str, tuple[float, str]] = {}
    for each in found(known, seed=0):
        if each.share == TYPICAL:
            best[each.kind] = max(best.get(each.kind, (0.0, "")), (each.area.value or 0.0, each.detector))
        name = f"{each.kind.replace('_', ' ')}, {each.share:.0%} of {each.n_right + each.n_wrong}: {each.detector}"
        figures[f"{name}, AUC"] = reported(each.area.value or 0.0, "area")
        figures[f"{name}, found at {FALSE_ALARMS:.0%} false alarms"] = reported(each.at_alarms or 0.0, "of the wrong")
    for kind, (area, detector) in best.items():
        name = f"{kind.replace('_', ' ')}, {TYPICAL:.0%}: the best detector is {detector}, AUC"
        figures[name] = held_to(area, "area", ">=", FINDS)
    return figures


def campaigns(n: int) -> Figures:
    """How often the intervals of ``n`` simulated campaigns contain the true share, and the error of their shares."""
    return dict(_figures(n))


def _figures(n: int) -> Iterator[tuple[str, Figure]]:
    for name, (plan, reviewers) in CAMPAIGNS.items():
        found = [judged(plan, reviewers, seed=seed) for seed in range(n)]
        covered = float(np.mean([each.corrected_covers for each in found]))
        yield f"{name}: corrected interval holds", _within(covered)
        yield (
            f"{name}: raw interval holds",
            reported(float(np.mean([each.raw_covers for each in found])), "of campaigns"),
        )
        yield f"{name}: mean error, raw", reported(float(np.mean([each.raw_error for each in found])), "share")
        yield f"{name}: mean error, corrected", reported(_mean_error(found), "share")
        yield f"{name}: mean width, corrected", reported(float(np.mean([each.width for each in found])), "share")


def _within(covered: float) -> Figure:
    return Figure(covered, "of campaigns", f"{LEAST} to {MOST}", LEAST <= covered <= MOST)


def _mean_error(found: list[Judged]) -> float:
    return float(np.mean([each.corrected_error for each in found if each.corrected_error is not None]))


if __name__ == "__main__":
    benchmark("audit", measure, neurons=FULL.n_neurons, excerpts=FULL.n_excerpts)
