from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.arrays import Float32s
from app.domain.fit import absolute_deviation, explained_variance, uncentred_rsquared
from app.domain.intervals import area_interval, mean_of_shares_interval, share_interval
from app.domain.scores import Estimate, correlation_with_interval

N_DRAWS = 400
Scorer = Callable[..., Estimate]


def pool(seed: int, n: int = 400, length: int = 32) -> tuple[list[Float32s], list[Float32s]]:
    """Excerpts of one stratum: sparse real activations, and predictions that miss some and invent some."""
    generator = np.random.default_rng(seed)
    difficulty = generator.uniform(0.2, 1.5, size=(n, 1))
    real = generator.exponential(size=(n, length)) * (generator.random((n, length)) < 0.2) + 0.05
    predicted = real + difficulty * generator.normal(size=(n, length)) * 0.5
    return list(real.astype(np.float32)), list(predicted.astype(np.float32))


def coverage(scorer: Scorer, k: int) -> float:
    """The share of draws of k + k excerpts whose interval holds what the scorer gives on both pools whole."""
    pools = [pool(1), pool(2)]
    whole = [[row for p in pools for row in p[side]] for side in (0, 1)]
    truth = scorer(*whole, [0] * 400 + [1] * 400, seed=0).value
    generator, held = np.random.default_rng(3), 0
    for draw in range(N_DRAWS):
        chosen = [generator.choice(400, k, replace=False) for _ in pools]
        sides = [[p[side][i] for p, rows in zip(pools, chosen, strict=True) for i in rows] for side in (0, 1)]
        interval = scorer(*sides, [0] * k + [1] * k, seed=draw % 20).interval
        held += interval is not None and truth is not None and interval[0] <= truth <= interval[1]
    return held / N_DRAWS


@pytest.mark.parametrize(
    "scorer", [correlation_with_interval, explained_variance, uncentred_rsquared, absolute_deviation]
)
@pytest.mark.parametrize("k", [5, 10])
def test_an_interval_covers_what_it_says(scorer: Scorer, k: int) -> None:
    assert 0.92 <= coverage(scorer, k) <= 0.985  # 95 %, within four standard errors of 400 draws below


def test_wilson_by_hand() -> None:
    # centre (p + z^2/2n) / (1 + z^2/n), with p = 0.8, n = 10: 0.7168; half width 0.2262
    low, high = share_interval(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_five_of_five_twice_is_not_certain() -> None:
    low, high = mean_of_shares_interval([(5, 5), (5, 5)])
    # each Wilson interval is (0.5655, 1): the mean lies sqrt(2 * 0.4345^2) / 2 below 1
    assert low == pytest.approx(1 - 0.4345 / np.sqrt(2), abs=1e-4)
    assert high == 1.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda p: (min(p), p[1])), min_size=1, max_size=4))
def test_an_interval_of_shares_holds_their_mean_and_is_never_empty(shares: list[tuple[int, int]]) -> None:
    low, high = mean_of_shares_interval(shares)
    mean = np.mean([s / n for s, n in shares])
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert low < high


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_an_interval_of_an_area_holds_it_and_turns_around_with_it(m: int, n: int, data: Any) -> None:
    area = data.draw(st.integers(0, 2 * m * n)) / (2 * m * n)
    low, high = area_interval(area, m, n)
    assert 0 <= low <= area <= high <= 1
    assert low < high
    other = area_interval(1 - area, n, m)
    assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high), abs=1e-9)


def test_the_interval_of_an_area_covers_what_it_says() -> None:
    generator, held = np.random.default_rng(0), 0
    truth = 0.8555778168267576  # the area of two normal distributions 1.5 apart: Phi(1.5 / sqrt(2))
    for _ in range(2000):
        positive, negative = generator.normal(1.5, size=(8, 1)), generator.normal(size=(1, 8))
        low, high = area_interval(float(np.heaviside(positive - negative, 0.5).mean()), 8, 8)
        held += low <= truth <= high
    assert 0.93 <= held / 2000 <= 0.97


def test_more_excerpts_narrow_the_interval() -> None:
    real, predicted = pool(5)

    def width(n: int) -> float:
        interval = correlation_with_interval(real[:n], predicted[:n], [0] * n, seed=0).interval
        assert interval is not None
        return interval[1] - interval[0]

    assert width(80) < width(20) < width(5)


@pytest.mark.parametrize("scorer", [correlation_with_interval, explained_variance, absolute_deviation])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_finite_is_undefined_for_its_true_reason(scorer: Scorer, bad: float, side: int) -> None:
    sides: list[Sequence[Float32s]] = [[np.array([0, 1, 2], np.float32)] * 2 for _ in range(2)]
    sides[side] = [np.array([0, bad, 2], np.float32), np.array([0, 1, 2], np.float32)]
    estimate = scorer(*sides, [0, 0], seed=0)
    assert estimate.value is None
    assert estimate.undefined_reason == f"{('a real', 'an expected')[side]} activation is not a finite number"
