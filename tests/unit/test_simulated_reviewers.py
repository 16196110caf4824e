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
    """A neuron whose wrong text scores 0.5 lower and claims too much."""
    right = 0.6 + place / 100
    return Case(
        f"text {place}",
        {"executed": right, "correlation": right, "whole_corpus_precision": 0.9, "whole_corpus_recall": 0.9},
        {"ten_times_too_broad": {"executed": right - 0.5, "correlation": right, "whole_corpus_precision": 0.05}},
    )


def test_what_a_score_and_a_doubt_notice_is_found_and_what_a_score_does_not_is_not() -> None:
    rows = {(each.share, each.detector): each for each in found([case(i) for i in range(40)], seed=0)}
    assert {share for share, _ in rows} == {0.05, 0.2, 0.5}
    assert rows[0.2, "executed"].n_wrong == 8
    for share in (0.05, 0.2, 0.5):
        assert rows[share, "executed"].area.value == 1.0
        assert rows[share, "doubts"].at_alarms == 1.0
        assert rows[share, "correlation"].area.value != 1.0
        assert rows[share, "detection_auc"].at_alarms == 0.0  # undefined everywhere: all or none
