"""95% intervals that cover 95% even for the few excerpts of one neuron.

A percentile bootstrap over k = 5 excerpts per stratum covers about 86%: the spread of its draws is too small by the
factor sqrt((k - 1) / k), and a normal quantile is too short for k - 1 degrees of freedom. Both are corrected here, on a
scale on which the statistic is nearly symmetric. Intervals of shares and areas never have width 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special  # not scipy.stats, which takes 60 MB of memory in every process

from app.domain.arrays import Float64s

FloatRows = Float64s
Interval = tuple[float, float]
Statistic = Callable[[FloatRows], FloatRows]

RESAMPLES = 2000
CONFIDENCE = 0.95
Z = float(special.ndtri((1 + CONFIDENCE) / 2))
"""The normal quantile of a two-sided 95% interval."""
LEAST_DEFINED_SHARE = 0.5
"""Share of draws in which the statistic must be defined; below it the interval is missing."""
MIN_EXCERPTS = 2
_BESIDE = 1e-12


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone map to a scale on which a statistic is nearly symmetric, and back."""

    to: Callable[[FloatRows], FloatRows]
    back: Callable[[FloatRows], FloatRows]


def _unexplained(values: FloatRows) -> FloatRows:
    return np.asarray(-np.log(1 - values))


def _explained(values: FloatRows) -> FloatRows:
    return np.asarray(1 - np.exp(-values))


FISHER = Scale(np.arctanh, np.tanh)
"""For correlations. Source: Fisher, "On the probable error of a coefficient of correlation" (1921)."""
SHARE_EXPLAINED = Scale(_unexplained, _explained)
"""For 1 - error / whole, which has no lower bound: the logarithm of error / whole."""
SHARE = Scale(special.logit, special.expit)
"""For shares: log odds."""
PLAIN = Scale(np.asarray, np.asarray)
"""For differences."""


def bootstrap_interval(
    per_excerpt: FloatRows, strata: Sequence[int], statistic: Statistic, scale: Scale, *, seed: int
) -> Interval | None:
    """The interval of a statistic of sums over excerpts, by a stratified bootstrap with Student's t.

    ``per_excerpt`` [E, K] are each excerpt's contributions; ``statistic`` turns sums [B, K] into values [B], NaN if
    undefined. Whole excerpts are drawn with replacement within their stratum, since tokens of one excerpt are not
    independent and the score is defined on a fixed number of each. On ``scale``, with k excerpts in the smallest
    stratum that has two: value ± t(.975, k - 1) * sd(draws) * sqrt(k / (k - 1)). None if no stratum has two excerpts or
    most draws are undefined; equal seeds give equal intervals. Source: Efron and Tibshirani, "An Introduction to the
    Bootstrap" (1993), chapter 12, with the small-sample factor of chapter 5.
    """
    sizes = tuple(int(n) for n in np.unique(np.asarray(strata), return_counts=True)[1])
    k = min((n for n in sizes if n >= MIN_EXCERPTS), default=0)
    if k == 0:
        return None
    order = np.argsort(np.asarray(strata), kind="stable")
    ordered = per_excerpt[order]
    values = statistic(_draws(sizes, seed) @ ordered)
    defined = values[np.isfinite(values)]
    if defined.size < LEAST_DEFINED_SHARE * values.size:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        centre, draws = float(scale.to(statistic(ordered.sum(axis=0)[None]))[0]), scale.to(defined)
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(centre) or draws.size < LEAST_DEFINED_SHARE * values.size:
        # A statistic at the end of its range, such as the correlation of a perfect prediction, has all draws there.
        return float(defined.min()), float(defined.max())
    half = float(special.stdtrit(k - 1, (1 + CONFIDENCE) / 2) * draws.std() * np.sqrt(k / (k - 1)))
    low, high = scale.back(np.array([centre - half, centre + half]))
    return float(low), float(high)


@lru_cache(maxsize=64)
def _draws(sizes: tuple[int, ...], seed: int) -> FloatRows:
    """How often each excerpt is drawn, stratum by stratum. [RESAMPLES, sum of sizes]"""
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) for n in sizes], axis=1).astype(
        np.float64
    )


def share_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval of a share. Raises ValueError without trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if not trials:
        raise ValueError("a share needs trials")
    return wilson(successes / trials, trials)


def wilson(share: float, n: float) -> Interval:
    """Wilson's score interval of a share of ``n`` draws; ``n`` may be fractional or infinite.

    Raises ValueError if ``n`` is not above 0 or the share is outside 0 to 1. Source: Wilson (1927).
    """
    if not n > 0 or not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1, of more than no draws")
    if math.isinf(n):
        return share, share
    widened = 1 + Z * Z / n
    centre = (share + Z * Z / (2 * n)) / widened
    half = Z / widened * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return (0.0 if share == 0 else max(0.0, centre - half)), (1.0 if share == 1 else min(1.0, centre + half))


def mean_of_shares_interval(shares: Sequence[tuple[int, int]]) -> Interval:
    """The interval of the mean of independent shares, each (successes, trials), from their Wilson intervals.

    Never of width 0: five of five and five of five give (0.69, 1), not (1, 1). Source: Newcombe, "Interval estimation
    for the difference between independent proportions" (1998), method 10, for a sum instead of a difference.
    """
    points = np.array([successes / trials for successes, trials in shares])
    limits = np.array([share_interval(*share) for share in shares])
    mean, n = points.mean(), len(shares)
    low = mean - np.sqrt(((points - limits[:, 0]) ** 2).sum()) / n
    high = mean + np.sqrt(((limits[:, 1] - points) ** 2).sum()) / n
    return float(max(low, 0.0)), float(min(high, 1.0))


def area_interval(area: float, n_positive: int, n_negative: int) -> Interval:
    """The interval of an area under a ROC curve: all areas that its own standard error does not refute.

    Never of width 0. Source: Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic", part 2 (2006), method 5, with the variance of Hanley and McNeil (1982) as modified there.
    """
    z = Z
    from scipy import optimize  # imported late: only reports need it

    extra = (n_positive + n_negative) / 2 - 1

    def excess(candidate: float) -> float:
        spread = candidate / (1 + candidate) + (1 - candidate) / (2 - candidate)
        variance = candidate * (1 - candidate) * (1 + extra * spread) / (n_positive * n_negative)
        return (area - candidate) ** 2 - z * z * variance

    # The excess is negative at the area itself and not at the ends of the range, so each limit lies between them. Areas
    # of 0 and 1 are roots themselves, so the search starts next to them.
    low = 0.0 if area <= 0 else float(optimize.brentq(excess, 0.0, min(area, 1 - _BESIDE)))
    high = 1.0 if area >= 1 else float(optimize.brentq(excess, max(area, _BESIDE), 1.0))
    return low, high
