"""Goodness of fit between predicted and real activations, in the model's own units.

``real`` and ``predicted`` are [T] each, one pair per excerpt. Every number is undefined, with its reason, if there is
no excerpt or nothing to explain; the intervals are those of ``app.domain.intervals``.
"""

from collections.abc import Callable, Sequence

import numpy as np

from app.domain.arrays import Float32s, Float64s
from app.domain.intervals import SHARE_EXPLAINED, bootstrap_interval
from app.domain.scores import Estimate, not_finite

_Rows = Float64s
_CONSTANT = 1e-12
"""Share of the largest magnitude below which a spread is rounding error."""


def explained_variance(
    real: Sequence[Float32s], predicted: Sequence[Float32s], strata: Sequence[int], *, seed: int
) -> Estimate:
    """1 - mean((real - predicted)^2) / variance(real) over all tokens.

    Source: the explained variance of "Language models can explain neurons in language models" (2023),
    section "Scoring": after a least-squares calibration on the same tokens it is the square of the
    correlation; with a calibration fitted elsewhere it can be less, also below 0.
    """
    if not real:
        return _NOTHING
    if (refusal := not_finite(real, predicted)) is not None:
        return refusal
    everything = np.concatenate(real).astype(np.float64)
    centre = everything.mean()
    spread = np.abs(everything - centre).max()
    if spread <= _CONSTANT * np.abs(everything).max():
        return Estimate(None, "the real activations are the same on every token")

    def statistic(sums: _Rows) -> _Rows:
        n, error, total, square = sums.T
        return _share_explained(error, square - total**2 / n)

    def columns(a: _Rows, p: _Rows) -> Sequence[float]:
        b = (a - centre) / spread
        return (len(a), float((((a - p) / spread) ** 2).sum()), float(b.sum()), float((b**2).sum()))

    return _with_interval(_rows(real, predicted, columns), statistic, strata, seed)


def uncentred_rsquared(
    real: Sequence[Float32s], predicted: Sequence[Float32s], strata: Sequence[int], *, seed: int
) -> Estimate:
    """1 - mean((real - predicted)^2) / mean(real^2). Not explained variance: the denominator is not centred.

    Source: ``rsquared_score`` of the 2023 paper's published code and files.
    """

    def columns(a: _Rows, p: _Rows) -> Sequence[float]:
        return (float(((a - p) ** 2).sum()), float((a**2).sum()))

    return _ratio(real, predicted, columns, strata, seed)


def absolute_deviation(
    real: Sequence[Float32s], predicted: Sequence[Float32s], strata: Sequence[int], *, seed: int
) -> Estimate:
    """1 - mean|real - predicted| / mean|real|.

    Source: ``absolute_dev_explained_score`` of the 2023 paper's published code and files.
    """

    def columns(a: _Rows, p: _Rows) -> Sequence[float]:
        return (float(np.abs(a - p).sum()), float(np.abs(a).sum()))

    return _ratio(real, predicted, columns, strata, seed)


_NOTHING = Estimate(None, "there is no excerpt to score")


def _ratio(
    real: Sequence[Float32s],
    predicted: Sequence[Float32s],
    columns: Callable[[_Rows, _Rows], Sequence[float]],
    strata: Sequence[int],
    seed: int,
) -> Estimate:
    if not real:
        return _NOTHING
    if (refusal := not_finite(real, predicted)) is not None:
        return refusal
    rows = _rows(real, predicted, columns)
    if rows[:, 1].sum() == 0:
        return Estimate(None, "the real activations are 0 on every token")
    return _with_interval(rows, lambda sums: _share_explained(sums[:, 0], sums[:, 1]), strata, seed)


def _rows(
    real: Sequence[Float32s], predicted: Sequence[Float32s], columns: Callable[[_Rows, _Rows], Sequence[float]]
) -> _Rows:
    """Each excerpt's contributions to the sums, [E, K]. Raises ValueError if lengths differ."""
    rows = []
    for a, p in zip(real, predicted, strict=True):
        if a.shape != p.shape:
            raise ValueError(f"{len(p)} predicted activations for {len(a)} tokens")
        rows.append(columns(a.astype(np.float64), p.astype(np.float64)))
    return np.array(rows)


def _share_explained(error: _Rows, whole: _Rows) -> _Rows:
    return np.asarray(1 - np.divide(error, whole, out=np.full(error.shape, np.nan), where=whole > 0))


def _with_interval(rows: _Rows, statistic: Callable[[_Rows], _Rows], strata: Sequence[int], seed: int) -> Estimate:
    value = float(statistic(rows.sum(axis=0)[None])[0])
    return Estimate(value, interval=bootstrap_interval(rows, strata, statistic, SHARE_EXPLAINED, seed=seed))
