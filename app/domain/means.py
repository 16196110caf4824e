"""Means over many neurons, with intervals by the central limit theorem."""

import math

from app.domain.scores import Estimate

Z_95 = 1.96
_LEAST = 2


def mean_with_interval(n: int, mean: float | None, deviation: float | None) -> Estimate:
    """A mean with its 95 % interval, mean ± 1.96 s / √n; ``deviation`` is the sample's standard deviation.

    Undefined without values; without an interval where there is one value alone.
    """
    if n == 0 or mean is None:
        return Estimate(None, "there is nothing to average")
    if n < _LEAST or deviation is None:
        return Estimate(mean)
    half = Z_95 * deviation / math.sqrt(n)
    return Estimate(mean, interval=(mean - half, mean + half))
