import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.domain.scores import Estimate, correlation, correlation_with_interval

EXCERPTS = arrays(np.float32, (4, 6), elements=st.floats(-100, 100, width=32))
SCALE = st.floats(0.01, 100)
SHIFT = st.floats(-10, 10)


def rows(*values: list[float]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.float32) for row in values]


def test_a_hand_computed_correlation_over_excerpts_laid_end_to_end() -> None:
    # x = 0 1 2 3, y = 0 2 1 3: covariance 4, variances 5 and 5
    assert correlation(rows([0, 1], [2, 3]), rows([0, 2], [1, 3])).value == pytest.approx(0.8)


def test_excerpts_of_different_lengths_weigh_by_their_tokens() -> None:
    real, expected = rows([0, 1, 2], [3]), rows([0, 2, 1], [3])
    assert correlation(real, expected).value == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("real", "expected", "named"),
    [
        ([1, 1], [0, 2], "the real activations"),
        ([0, 2], [0, 0], "the expected activations"),
        ([1, 1], [2, 2], "real and"),
    ],
)
def test_a_constant_side_has_no_correlation_but_a_reason(real: list[float], expected: list[float], named: str) -> None:
    estimate = correlation(rows(real), rows(expected))
    assert estimate.value is None
    assert named in str(estimate.undefined_reason)


def test_nothing_to_score_has_a_reason() -> None:
    assert correlation([], []) == Estimate(None, "there is no excerpt to score")


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        correlation(rows([1, 2]), rows([1, 2, 3]))


@given(EXCERPTS, EXCERPTS)
def test_it_agrees_with_numpy_or_is_undefined(real: np.ndarray, expected: np.ndarray) -> None:
    value = correlation(list(real), list(expected)).value
    if value is None:
        assert min(np.std(real.astype(float)), np.std(expected.astype(float))) < 1e-9
    else:
        assert value == pytest.approx(
            np.corrcoef(real.ravel().astype(float), expected.ravel().astype(float))[0, 1], abs=1e-5
        )


@given(arrays(np.float64, (3, 5), elements=st.integers(-9, 9)), SCALE, SHIFT)
def test_scale_and_shift_of_the_expected_side_do_not_matter(expected: np.ndarray, scale: float, shift: float) -> None:
    real = rows([0, 1, 0, 5, 2], [1, 0, 0, 3, 0], [0, 0, 7, 1, 0])
    plain = correlation(real, list(expected)).value
    moved = correlation(real, list(expected * scale + shift)).value
    assert plain == moved or plain == pytest.approx(moved, abs=1e-6)


@given(EXCERPTS, EXCERPTS, st.integers(0, 5))
def test_an_interval_is_finite_ordered_and_within_the_range_of_r(
    real: np.ndarray, expected: np.ndarray, seed: int
) -> None:
    estimate = correlation_with_interval(list(real), list(expected), [0, 0, 1, 1], seed=seed)
    if estimate.interval is not None:
        low, high = estimate.interval
        assert -1 <= low <= high <= 1


def test_the_interval_of_a_seed_is_always_the_same() -> None:
    real, expected = rows([0, 1, 5], [2, 3, 0], [1, 0, 4]), rows([0, 2, 6], [1, 3, 1], [3, 0, 1])
    first = correlation_with_interval(real, expected, [0, 0, 0], seed=3)
    assert first == correlation_with_interval(real, expected, [0, 0, 0], seed=3)
    assert first.interval is not None
    assert first.interval[0] < float(first.value or 0) < first.interval[1]


def test_the_interval_of_a_perfect_prediction_has_no_width() -> None:
    real = rows([0, 1, 5], [2, 3, 0], [1, 0, 4])
    interval = correlation_with_interval(real, real, [0, 1, 1], seed=0).interval
    assert interval == pytest.approx((1, 1))


def test_one_excerpt_has_no_interval() -> None:
    assert correlation_with_interval(rows([0, 1]), rows([0, 2]), [0], seed=0).interval is None


def test_samples_are_drawn_each_on_its_own() -> None:
    """With one excerpt per stratum every draw is the same, so the interval collapses."""
    real, expected = rows([0, 4, 1], [0, 0, 1], [0, 0, 1]), rows([0, 9, 0], [1, 0, 0], [1, 0, 0])
    apart = correlation_with_interval(real, expected, [0, 1, 1], seed=0)
    together = correlation_with_interval(real, expected, [0, 0, 0], seed=0)
    assert apart.interval == pytest.approx((apart.value, apart.value))
    assert together.interval is not None
    assert together.interval[0] < together.interval[1]
