"""Definitions of scores: correlation and its interval. Failed simulations are missing, never 0."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float32s, Float64s
from app.domain.intervals import FISHER, PLAIN, bootstrap_interval

_CONSTANT = 1e-24
"""Share of the squared magnitude below which a variance is rounding error."""

_Sums = Float64s


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95% interval, or the reason why it is undefined."""

    value: float | None
    undefined_reason: str | None = None
    interval: tuple[float, float] | None = None


def correlation(real: Sequence[Float32s], expected: Sequence[Float32s]) -> Estimate:
    """Pearson r over all tokens of all excerpts, concatenated; without an interval.

    ``real`` in the model's own units, ``expected`` on any scale, [T] each, one pair per excerpt.
    Undefined if there is nothing to correlate or one side is constant. Source:
    ``ev_correlation_score`` of "Language models can explain neurons in language models" (2023).
    """
    if not real:
        return Estimate(None, "there is no excerpt to score")
    if (refusal := not_finite(real, expected)) is not None:
        return refusal
    return _estimate(token_sums(real, expected).sum(axis=0))


def correlation_with_interval(
    real: Sequence[Float32s], expected: Sequence[Float32s], strata: Sequence[int], *, seed: int
) -> Estimate:
    """``correlation`` with its 95% interval on Fisher's scale. ``strata`` has each excerpt's stratum, its sample.

    The interval is missing if no stratum has two excerpts or most draws are undefined. See ``bootstrap_interval``.
    """
    estimate = correlation(real, expected)
    if estimate.value is None:
        return estimate
    return Estimate(
        estimate.value, interval=bootstrap_interval(token_sums(real, expected), strata, pearson, FISHER, seed=seed)
    )


def margin_with_interval(
    real: Sequence[Float32s],
    pair: tuple[Sequence[Float32s], Sequence[Float32s]],
    strata: Sequence[int],
    *,
    seed: int,
) -> Estimate:
    """The correlation of the first expected activations of ``pair`` minus that of the second, with its 95 % interval.

    Paired: both are measured on the same excerpts and drawn together, so that what makes an excerpt easy for both
    cancels out. Shapes as in ``correlation_with_interval``; undefined if either correlation is.
    """
    own, other = (correlation(real, expected) for expected in pair)
    if own.value is None or other.value is None:
        return own if own.value is None else other
    first, second = (token_sums(real, expected) for expected in pair)

    def difference(sums: _Sums) -> _Sums:
        width = first.shape[1]
        return np.asarray(pearson(sums[:, :width]) - pearson(sums[:, width:]))

    interval = bootstrap_interval(np.hstack([first, second]), strata, difference, PLAIN, seed=seed)
    return Estimate(own.value - other.value, interval=interval)


def not_finite(real: Sequence[Float32s], expected: Sequence[Float32s]) -> Estimate | None:
    """Why nothing can be scored if an activation is infinite or NaN; None if all are finite.

    Stored activations are always finite: collections stop at an infinite one and imports refuse it. A simulator or
    another caller may pass others.
    """
    for name, rows in (("a real", real), ("an expected", expected)):
        if not all(np.isfinite(row).all() for row in rows):
            return Estimate(None, f"{name} activation is not a finite number")
    return None


def _estimate(sums: _Sums) -> Estimate:
    constant = [name for name, varies in zip(("real", "expected"), _varies(sums), strict=True) if not varies]
    if constant:
        return Estimate(None, f"the {' and the '.join(constant)} activations are the same on every token")
    return Estimate(float(pearson(sums[None])[0]))


def token_sums(real: Sequence[Float32s], expected: Sequence[Float32s]) -> _Sums:
    """Per excerpt: tokens, sums, squares and product of both sides, each side centred over all tokens. [E, 6]

    Raises ValueError if the lengths differ.
    """
    lengths = [len(x) for x in real]
    if lengths != [len(y) for y in expected]:
        raise ValueError("real and expected activations differ in length")
    x = np.concatenate(real).astype(np.float64)
    y = np.concatenate(expected).astype(np.float64)
    x, y = _centred(x), _centred(y)
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    starts = np.cumsum([0, *lengths[:-1]])
    return np.add.reduceat(columns, starts, axis=0)


def _centred(values: Float64s) -> Float64s:
    """Deviations from the mean, divided by the largest magnitude, so that no square under- or overflows."""
    if values.min() == values.max():
        return np.zeros_like(values)
    values = values / np.abs(values).max()
    values = values - values.mean()
    return np.asarray(values / np.abs(values).max())


def _varies(sums: _Sums) -> tuple[bool, bool]:
    n, sx, sy, sxx, syy, _ = sums
    return bool(sxx - sx * sx / n > _CONSTANT * n), bool(syy - sy * sy / n > _CONSTANT * n)


def pearson(sums: _Sums) -> Float64s:
    """Pearson r from weighted sums of the rows of ``token_sums``, [B, 6]; NaN if a side is constant."""
    n, sx, sy, sxx, syy, sxy = sums.T
    vx, vy = sxx - sx * sx / n, syy - sy * sy / n
    defined = (vx > _CONSTANT * n) & (vy > _CONSTANT * n)
    scale = np.sqrt(np.where(defined, vx, 1.0)) * np.sqrt(np.where(defined, vy, 1.0))
    return np.where(defined, np.clip((sxy - sx * sy / n) / scale, -1.0, 1.0), np.nan)
