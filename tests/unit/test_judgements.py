import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.judgements import auc, balanced_accuracy, harmonic_mean, share
from app.domain.scores import Estimate

TRUTH = (True, True, True, True, False, False)


def test_balanced_accuracy_by_hand() -> None:
    said = (True, True, True, False, False, True)
    assert balanced_accuracy(TRUTH, said).value == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_auc_by_hand() -> None:
    ratings = (9, 5, 5, 0, 5, 1)
    # of the 8 pairs: 9 beats both, each 5 ties one and beats one, 0 loses both
    assert auc(TRUTH, ratings).value == pytest.approx((2 + 1.5 + 1.5 + 0) / 8)


def test_always_yes_is_chance() -> None:
    assert balanced_accuracy(TRUTH, (True,) * 6).value == 0.5
    assert auc(TRUTH, (7,) * 6).value == 0.5


def test_a_perfect_judge_of_a_few_things_is_not_certainly_perfect() -> None:
    five_and_five = [True] * 5 + [False] * 5
    for estimate in (
        balanced_accuracy(five_and_five, five_and_five),
        auc(five_and_five, [float(t) for t in five_and_five]),
    ):
        assert estimate.value == 1.0
        assert estimate.interval is not None
        assert 0.5 < estimate.interval[0] < 0.9
        assert estimate.interval[1] == 1.0


def test_a_rating_that_is_no_number_has_no_area_but_a_reason() -> None:
    assert auc(TRUTH, [1, 2, 3, math.nan, 0, 0]) == Estimate(None, "a rating is not a finite number")


@pytest.mark.parametrize("truth", [(), (True, True), (False,)])
def test_one_class_alone_cannot_be_judged(truth: tuple[bool, ...]) -> None:
    for estimate in (balanced_accuracy(truth, truth), auc(truth, [0.0] * len(truth))):
        assert estimate.value is None
        assert estimate.undefined_reason
        assert estimate.interval is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=12))
def test_turning_all_ratings_around_turns_the_value_around(rows: list[tuple[bool, int]]) -> None:
    truth, ratings = [t for t, _ in rows], [float(r) for _, r in rows]
    one, other = auc(truth, ratings), auc(truth, [-r for r in ratings])
    if one.value is None or other.value is None:
        assert one == other
        return
    assert one.value + other.value == pytest.approx(1.0)
    assert one.interval is None or one.interval[0] <= one.interval[1]
    assert auc(truth, [2 * r + 1 for r in ratings]).value == pytest.approx(one.value)


def test_a_harmonic_mean_is_high_only_where_both_shares_are() -> None:
    assert harmonic_mean((3, 4), (1, 2)).value == pytest.approx(0.6)
    assert harmonic_mean((4, 4), (0, 4)).value == 0.0
    assert harmonic_mean((0, 4), (0, 4)).value == 0.0
    assert harmonic_mean((0, 0), (4, 4)).value is None


@given(st.integers(0, 8), st.integers(0, 8))
def test_the_interval_of_a_harmonic_mean_holds_it_and_is_never_empty(first: int, second: int) -> None:
    estimate = harmonic_mean((first, 8), (second, 8))
    assert estimate.value is not None
    assert estimate.interval is not None
    assert 0 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1
    assert estimate.interval[0] < estimate.interval[1]


def test_a_share_has_wilsons_interval_and_nothing_has_none() -> None:
    assert share(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share(0, 0) == Estimate(None, "there is nothing to count")
