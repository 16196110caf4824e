"""Definitions of scores: correlation and its bootstrap interval. Failures are missing, never 0."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.domain.activations import FloatArray

RESAMPLES = 2000
CONFIDENCE = 0.95
_LEAST_DEFINED_SHARE = 0.5
_MIN_EXCERPTS = 2
_CONSTANT = 1e-24
"""Share of the squared magnitude below which a variance is rounding, not variation."""

_Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, or the reason why it is undefined."""

    value: float | None
    undefined_reason: str | None = None
    interval: tuple[float, float] | None = None


def correlation(real: Sequence[FloatArray], expected: Sequence[FloatArray]) -> Estimate:
    """Pearson r over all tokens of all excerpts laid end to end, without an interval.

    ``real`` in the model's own units, ``expected`` on any scale, [T] each, one pair per excerpt.
    Undefined where there is nothing to correlate or one side is constant. Source:
    ``ev_correlation_score`` of "Language models can explain neurons in language models" (2023).
    """
    if not real:
        return Estimate(None, "there is no excerpt to score")
    return _estimate(_sums(real, expected).sum(axis=0))


def correlation_with_interval(
    real: Sequence[FloatArray], expected: Sequence[FloatArray], strata: Sequence[int], *, seed: int
) -> Estimate:
    """``correlation`` with a 95 % percentile bootstrap interval over excerpts.

    Whole excerpts are drawn with replacement, since tokens of one excerpt are not independent.
    They are drawn within each stratum (one number per excerpt: its sample), since the score is
    defined on a fixed number of each: a draw without any top excerpt would measure something else.
    The interval is missing where no stratum has two excerpts or most draws are undefined. With five
    excerpts per stratum it is on the narrow side. Source: Efron and Tibshirani (1993), chapter 13.
    """
    estimate = correlation(real, expected)
    if estimate.value is None:
        return estimate
    return Estimate(estimate.value, interval=bootstrap_interval(_sums(real, expected), strata, _pearson, seed=seed))


def bootstrap_interval(
    per_excerpt: _Sums, strata: Sequence[int], statistic: Callable[[_Sums], NDArray[np.float64]], *, seed: int
) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval over excerpts of a statistic of sums.

    ``per_excerpt`` [E, K] are an excerpt's contributions; ``statistic`` turns their sums over each draw
    [B, K] into values [B], NaN where undefined. None where no stratum has two excerpts or most draws
    are undefined. Equal seeds give equal intervals. Source: Efron and Tibshirani (1993), chapter 13.
    """
    sizes = tuple(int(n) for n in np.unique(np.asarray(strata), return_counts=True)[1])
    if max(sizes, default=0) < _MIN_EXCERPTS:
        return None
    order = np.argsort(np.asarray(strata), kind="stable")
    values = statistic(_draws(sizes, seed) @ per_excerpt[order])
    defined = values[np.isfinite(values)]
    if defined.size < _LEAST_DEFINED_SHARE * values.size:
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def _estimate(sums: _Sums) -> Estimate:
    constant = [name for name, varies in zip(("real", "expected"), _varies(sums), strict=True) if not varies]
    if constant:
        return Estimate(None, f"the {' and the '.join(constant)} activations are the same on every token")
    return Estimate(float(_pearson(sums[None])[0]))


def _sums(real: Sequence[FloatArray], expected: Sequence[FloatArray]) -> _Sums:
    """Per excerpt: tokens, sums, squares and product of both sides, centred over all. [E, 6]"""
    lengths = [len(x) for x in real]
    if lengths != [len(y) for y in expected]:
        raise ValueError("real and expected activations differ in length")
    x = np.concatenate(real).astype(np.float64)
    y = np.concatenate(expected).astype(np.float64)
    x, y = _centred(x), _centred(y)
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    starts = np.cumsum([0, *lengths[:-1]])
    return np.add.reduceat(columns, starts, axis=0)


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviations from the mean in units of the largest, so that no square under- or overflows."""
    if values.min() == values.max():
        return np.zeros_like(values)
    values = values / np.abs(values).max()
    values = values - values.mean()
    return np.asarray(values / np.abs(values).max())


def _varies(sums: _Sums) -> tuple[bool, bool]:
    n, sx, sy, sxx, syy, _ = sums
    return bool(sxx - sx * sx / n > _CONSTANT * n), bool(syy - sy * sy / n > _CONSTANT * n)


def _pearson(sums: _Sums) -> NDArray[np.float64]:
    """Pearson r of each row of sums [B, 6]; NaN where a side is constant."""
    n, sx, sy, sxx, syy, sxy = sums.T
    vx, vy = sxx - sx * sx / n, syy - sy * sy / n
    defined = (vx > _CONSTANT * n) & (vy > _CONSTANT * n)
    scale = np.sqrt(np.where(defined, vx, 1.0)) * np.sqrt(np.where(defined, vy, 1.0))
    return np.where(defined, np.clip((sxy - sx * sy / n) / scale, -1.0, 1.0), np.nan)


@lru_cache(maxsize=64)
def _draws(sizes: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """How often each excerpt is drawn, stratum by stratum. [RESAMPLES, sum of sizes]"""
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) for n in sizes], axis=1).astype(
        np.float64
    )
