"""How well binary judgements and ratings separate two classes."""

from collections.abc import Sequence

import numpy as np

from app.domain.intervals import area_interval, mean_of_shares_interval, share_interval
from app.domain.scores import Estimate

CHANCE = 0.5
"""The value that random judgements reach, for balanced accuracy and for AUC."""


def balanced_accuracy(truth: Sequence[bool], judged: Sequence[bool]) -> Estimate:
    """(sensitivity + specificity) / 2 of judgements, with an interval.

    Undefined if one of the classes is empty. Source: Brodersen et al., "The balanced accuracy and its posterior
    distribution" (2010); the interval: ``mean_of_shares_interval``.
    """
    if (missing := _missing(truth)) is not None:
        return missing
    positive, agrees = np.array(truth), np.array(truth) == np.array(judged)
    shares = [(int(agrees[kind].sum()), int(kind.sum())) for kind in (positive, ~positive)]
    value = sum(right / n for right, n in shares) / len(shares)
    return Estimate(value, interval=mean_of_shares_interval(shares))


def share(successes: int, trials: int) -> Estimate:
    """A share with Wilson's interval. Undefined without trials."""
    if trials == 0:
        return Estimate(None, "there is nothing to count")
    return Estimate(successes / trials, interval=share_interval(successes, trials))


def harmonic_mean(first: tuple[int, int], second: tuple[int, int]) -> Estimate:
    """The harmonic mean of two independent shares, each (successes, trials), with an interval.

    0 where one share is 0: both must be high. Undefined without trials of both. The interval combines the Wilson
    intervals of the shares as ``mean_of_shares_interval`` does. Source of the interval: Zou and Donner,
    "Construction of confidence limits about effect measures" (2008).
    """
    if not first[1] or not second[1]:
        return Estimate(None, "there is nothing to count")
    points = [successes / trials for successes, trials in (first, second)]
    value = _harmonic(*points)
    limits = [share_interval(*pair) for pair in (first, second)]
    moved = [[_harmonic(limits[0][end], points[1]), _harmonic(points[0], limits[1][end])] for end in (0, 1)]
    low, high = (float(np.hypot(*(value - np.array(other)))) for other in moved)
    if value == 0.0:  # changing one share alone cannot move the mean away from 0
        high = _harmonic(limits[0][1], limits[1][1])
    return Estimate(value, interval=(max(0.0, value - low), min(1.0, value + high)))


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def auc(truth: Sequence[bool], ratings: Sequence[float]) -> Estimate:
    """The probability that a true thing is rated above a false one, ties counting half, with an interval.

    Undefined if a class is empty or a rating is not a finite number. Source: Hanley and McNeil, "The meaning and use of
    the area under a ROC curve" (1982); the interval: ``area_interval``.
    """
    if (missing := _missing(truth)) is not None:
        return missing
    positive, rated = np.array(truth), np.array(ratings, dtype=np.float64)
    if not np.isfinite(rated).all():
        return Estimate(None, "a rating is not a finite number")
    wins = np.heaviside(rated[positive][:, None] - rated[~positive][None, :], 0.5)
    value = float(wins.mean())
    return Estimate(value, interval=area_interval(value, *wins.shape))


def _missing(truth: Sequence[bool]) -> Estimate | None:
    if not any(truth):
        return Estimate(None, "there is no judged excerpt that fits")
    if all(truth):
        return Estimate(None, "there is no judged excerpt that does not fit")
    return None
