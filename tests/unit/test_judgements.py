import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.judgements import auc, balanced_accuracy

TRUTH = (True, True, True, True, False, False)


def test_balanced_accuracy_by_hand() -> None:
    said = (True, True, True, False, False, True)
    assert balanced_accuracy(TRUTH, said, seed=0).value == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_auc_by_hand() -> None:
    ratings = (9, 5, 5, 0, 5, 1)
    # of the 8 pairs: 9 beats both, each 5 ties one and beats one, 0 loses both
    assert auc(TRUTH, ratings, seed=0).value == pytest.approx((2 + 1.5 + 1.5 + 0) / 8)


def test_always_yes_is_chance() -> None:
    assert balanced_accuracy(TRUTH, (True,) * 6, seed=0).value == 0.5
    assert auc(TRUTH, (7,) * 6, seed=0).value == 0.5


def test_a_perfect_judge_is_one_with_a_certain_interval() -> None:
    assert balanced_accuracy(TRUTH, TRUTH, seed=0).interval == pytest.approx((1.0, 1.0))
    assert auc(TRUTH, [float(t) for t in TRUTH], seed=0).interval == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("truth", [(), (True, True), (False,)])
def test_one_class_alone_cannot_be_judged(truth: tuple[bool, ...]) -> None:
    for estimate in (balanced_accuracy(truth, truth, seed=0), auc(truth, [0.0] * len(truth), seed=0)):
        assert estimate.value is None
        assert estimate.undefined_reason
        assert estimate.interval is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=12), st.integers(0, 9))
def test_turning_all_ratings_around_turns_the_value_around(rows: list[tuple[bool, int]], seed: int) -> None:
    truth, ratings = [t for t, _ in rows], [float(r) for _, r in rows]
    one, other = auc(truth, ratings, seed=seed), auc(truth, [-r for r in ratings], seed=seed)
    if one.value is None or other.value is None:
        assert one == other
        return
    assert one.value + other.value == pytest.approx(1.0)
    assert one.interval is None or one.interval[0] <= one.interval[1]
    assert auc(truth, [2 * r + 1 for r in ratings], seed=seed).value == pytest.approx(one.value)
