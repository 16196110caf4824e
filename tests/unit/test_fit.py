from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.arrays import Float32s
from app.domain.fit import absolute_deviation, explained_variance, uncentred_rsquared
from app.domain.scores import Estimate, correlation

Scorer = Callable[..., Estimate]
ALL = pytest.mark.parametrize("scorer", [explained_variance, uncentred_rsquared, absolute_deviation])


def rows(*values: Sequence[float]) -> list[Float32s]:
    return [np.array(row, dtype=np.float32) for row in values]


REAL = rows((0.0, 4.0), (2.0, -2.0))
PREDICTED = rows((1.0, 3.0), (2.0, 0.0))
# errors -1, 1, 0, -2: squares 6, absolutes 4; real: mean 1, squared deviations 1 + 9 + 1 + 9, squares 24, absolutes 8


@pytest.mark.parametrize(
    ("scorer", "value"),
    [(explained_variance, 1 - 6 / 20), (uncentred_rsquared, 1 - 6 / 24), (absolute_deviation, 1 - 4 / 8)],
)
def test_a_score_by_hand(scorer: Scorer, value: float) -> None:
    assert scorer(REAL, PREDICTED, [0, 0], seed=0).value == pytest.approx(value)


@ALL
def test_a_perfect_prediction_is_one_in_every_draw(scorer: Scorer) -> None:
    estimate = scorer(REAL, REAL, [0, 0], seed=0)
    assert estimate.value == pytest.approx(1.0)
    assert estimate.interval == pytest.approx((1.0, 1.0))


@ALL
def test_without_excerpts_a_score_is_undefined(scorer: Scorer) -> None:
    assert scorer([], [], [], seed=0) == Estimate(None, "there is no excerpt to score")


@ALL
def test_a_neuron_at_zero_has_nothing_to_explain(scorer: Scorer) -> None:
    estimate = scorer(rows((0.0, 0.0)), rows((1.0, 0.0)), [0], seed=0)
    assert estimate.value is None
    assert "on every token" in (estimate.undefined_reason or "")


def test_the_mean_explains_no_variance_but_some_of_the_uncentred_sum() -> None:
    mean = rows((1.0, 1.0), (1.0, 1.0))
    assert explained_variance(REAL, mean, [0, 0], seed=0).value == pytest.approx(0.0)
    assert uncentred_rsquared(REAL, mean, [0, 0], seed=0).value == pytest.approx(1 - 20 / 24)


@ALL
def test_lengths_that_differ_are_refused(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="1 predicted activations for 2 tokens"):
        scorer(REAL[:1], rows((1.0,)), [0], seed=0)


@ALL
def test_the_interval_is_the_same_for_the_same_seed_and_holds_the_value(scorer: Scorer) -> None:
    generator = np.random.default_rng(1)
    real = rows(*generator.normal(size=(10, 16)))
    predicted = [(r + generator.normal(size=16)).astype(np.float32) for r in real]
    first, second = (scorer(real, predicted, [0] * 5 + [1] * 5, seed=3) for _ in range(2))
    assert first == second
    assert first.interval is not None
    assert first.value is not None
    assert first.interval[0] < first.value < first.interval[1]


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1000), st.floats(-50, 50))
def test_after_least_squares_explained_variance_is_the_squared_correlation(
    seed: int, scale: float, shift: float
) -> None:
    generator = np.random.default_rng(seed)
    real = rows(*(generator.normal(size=(3, 20)) * scale + shift))
    guess = rows(*(generator.normal(size=(3, 20)) + np.stack(real) / scale))
    slope, intercept = np.polyfit(np.concatenate(guess).astype(np.float64), np.concatenate(real), 1)
    fitted = [(slope * g + intercept).astype(np.float32) for g in guess]
    r = correlation(real, guess).value
    assert r is not None
    assert explained_variance(real, fitted, [0] * 3, seed=0).value == pytest.approx(r * r, abs=2e-3)


@given(st.floats(0.001, 1000))
def test_units_do_not_matter(unit: float) -> None:
    for scorer in (explained_variance, uncentred_rsquared, absolute_deviation):
        real, predicted = ([(x * unit).astype(np.float32) for x in side] for side in (REAL, PREDICTED))
        assert scorer(real, predicted, [0, 0], seed=0).value == pytest.approx(
            scorer(REAL, PREDICTED, [0, 0], seed=0).value, rel=1e-4
        )
