"""How well yes-or-no judgements and ratings tell two classes of things apart."""

from collections.abc import Sequence

import numpy as np

from app.domain.intervals import area_interval, mean_of_shares_interval
from app.domain.scores import Estimate

CHANCE = 0.5
"""What a coin gets, for balanced accuracy and for AUC."""


def balanced_accuracy(truth: Sequence[bool], said: Sequence[bool]) -> Estimate:
    """(share of the true that were said true + share of the false that were said false) / 2, with an interval.

    Undefined without a thing of each class. Source: Brodersen et al., "The balanced accuracy and its posterior
    distribution" (2010); the interval: ``mean_of_shares_interval``.
    """
    if (missing := _missing(truth)) is not None:
        return missing
    positive, agrees = np.array(truth), np.array(truth) == np.array(said)
    shares = [(int(agrees[kind].sum()), int(kind.sum())) for kind in (positive, ~positive)]
    value = sum(right / n for right, n in shares) / len(shares)
    return Estimate(value, interval=mean_of_shares_interval(shares))


def auc(truth: Sequence[bool], ratings: Sequence[float]) -> Estimate:
    """The chance that a true thing is rated above a false one, ties counting half, with an interval.

    Undefined without a thing of each class, and where a rating is not a finite number. Source: Hanley and McNeil, "The
    meaning and use of the area under a ROC curve" (1982); the interval: ``area_interval``.
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
