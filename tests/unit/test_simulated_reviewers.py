import numpy as np
import pytest

from benchmarks import audit
from benchmarks.planted_found import found
from benchmarks.simulated_reviewers import Plan, Reviewers, judged, settled
from benchmarks.truth.planted import Case

PLAN = Plan(per_layer=200, shares=(0.5, 0.2), n_items=60, n_controls=20, n_verdicts=2)


def test_reviewers_without_error_see_the_truth() -> None:
    found = judged(PLAN, Reviewers(1.0, 1.0), seed=1)
    assert found.corrected_error == pytest.approx(found.raw_error)
    assert found.raw_covers


@pytest.mark.parametrize("seed", range(3))
def test_equal_seeds_give_equal_campaigns(seed: int) -> None:
    assert judged(PLAN, Reviewers(0.9, 0.8), seed=seed) == judged(PLAN, Reviewers(0.9, 0.8), seed=seed)


def test_two_verdicts_and_a_third_err_less_than_one() -> None:
    generator = np.random.default_rng(0)
    wrong = np.mean([not settled(True, PLAN, Reviewers(0.8, 0.8), generator) for _ in range(4000)])
    assert wrong == pytest.approx(0.2**2 * (1 + 2 * 0.8), abs=0.02)  # two of three err


def test_lenient_reviewers_flatter_and_the_correction_takes_it_back() -> None:
    found = [judged(PLAN, Reviewers(0.95, 0.6), seed=seed) for seed in range(40)]
    assert np.mean([each.raw_error for each in found]) > 0.1
    assert abs(np.mean([each.corrected_error or 0.0 for each in found])) < 0.06
    assert np.mean([each.corrected_covers for each in found]) > np.mean([each.raw_covers for each in found])


def test_the_benchmark_reports_every_kind_of_campaign() -> None:
    figures = audit.campaigns(3)
    assert len(figures) == 5 * len(audit.CAMPAIGNS)
    assert all(0 <= figure.value <= 1 for name, figure in figures.items() if name.endswith("holds"))


def case(place: int) -> Case:
    """A neuron whose wrong text scores 0.5 lower and raises two doubts; its 2023 score is that of the right one."""
    right = 0.6 + place / 100
    return Case(
        f"text {place}",
        {"executed": right, "correlation": right, "doubts": 0.0},
        {"ten_times_too_broad": {"executed": right - 0.5, "correlation": right, "doubts": 2.0}},
    )


def test_planted_texts_are_found_by_what_detects_them_and_by_nothing_else() -> None:
    rows = {(each.share, each.detector): each for each in found([case(i) for i in range(40)], seed=0)}
    assert {share for share, _ in rows} == {0.05, 0.2, 0.5}
    assert rows[0.2, "executed"].n_wrong == 8
    for share in (0.05, 0.2, 0.5):
        assert rows[share, "executed"].area.value == 1.0
        assert rows[share, "doubts"].at_alarms == 1.0
        assert rows[share, "correlation"].area.value != 1.0
    assert (0.2, "detection_auc") not in rows  # not measured


def test_wrong_texts_of_any_kind_are_of_all_kinds_that_there_are() -> None:
    both = [
        Case(each.text, each.right, {**each.wrong, "swapped": {"executed": -1.0, "doubts": 3.0}})
        for each in (case(i) for i in range(40))
    ]
    rows = {(each.kind, each.share, each.detector): each for each in found(both, seed=0)}
    assert {kind for kind, _, _ in rows} == {"ten_times_too_broad", "swapped", "any_kind"}
    assert rows["any_kind", 0.5, "executed"].area.value == 1.0
    assert (rows["any_kind", 0.5, "correlation"].area.value or 0) > 0.5  # undefined for swapped ones


def test_the_report_has_two_figures_for_each_detector_and_share_and_the_best_detector() -> None:
    figures = audit.planted([case(i) for i in range(40)])
    assert len(figures) == 3 * 3 * 2 + 1
    (best,) = (name for name in figures if "the best detector is" in name)
    assert figures[best].holds
    assert figures["ten times too broad, 20% of 40: doubts, found at 5% false alarms"].value == 1.0
