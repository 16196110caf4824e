"""Means over many neurons, with Student's interval."""

import math

from scipy import special

from app.domain.intervals import CONFIDENCE
from app.domain.scores import Estimate

_LEAST = 2


def mean_with_interval(n: int, mean: float | None, deviation: float | None) -> Estimate:
    """A mean of n independent values with its 95% interval, mean ± t(.975, n - 1) s / √n.

    ``deviation`` is the sample's standard deviation, with n - 1 in the denominator. Undefined without values; no
    interval for a single value. Source: Student, "The probable error of a mean" (1908).
    """
    if n == 0 or mean is None:
        return Estimate(None, "there is nothing to average")
    if n < _LEAST or deviation is None:
        return Estimate(mean)
    half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(n)
    return Estimate(mean, interval=(mean - half, mean + half))


def mean_of_sums(n: int, total: float, squares: float) -> Estimate:
    """The mean of n independent values with its 95% interval, from their sum and the sum of their squares."""
    if n == 0:
        return mean_with_interval(0, None, None)
    mean = total / n
    # Rounding errors may make the difference negative.
    variance = max(0.0, squares - n * mean * mean) / (n - 1) if n > 1 else None
    return mean_with_interval(n, mean, None if variance is None else math.sqrt(variance))
