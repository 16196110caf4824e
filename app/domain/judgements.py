"""How well yes-or-no judgements and ratings tell two classes of things apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.scores import Estimate, bootstrap_interval

CHANCE = 0.5
"""What a coin gets, for balanced accuracy and for AUC."""


def balanced_accuracy(truth: Sequence[bool], said: Sequence[bool], *, seed: int) -> Estimate:
    """(share of the true that were said true + share of the false that were said false) / 2, with an interval.

    The interval draws within each class. Undefined without a thing of each class. Source: Brodersen
    et al., "The balanced accuracy and its posterior distribution" (2010).
    """
    if (missing := _missing(truth)) is not None:
        return missing
    positive = np.array(truth)
    right = positive == np.array(said)
    rows = np.stack([positive, positive & right, ~positive, ~positive & right], axis=1).astype(np.float64)

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        n_true, right_true, n_false, right_false = sums.T
        return np.asarray((right_true / n_true + right_false / n_false) / 2)

    value = float(statistic(rows.sum(axis=0)[None])[0])
    return Estimate(value, interval=bootstrap_interval(rows, positive.astype(int).tolist(), statistic, seed=seed))


def auc(truth: Sequence[bool], ratings: Sequence[float], *, seed: int) -> Estimate:
    """The chance that a true thing is rated above a false one, ties counting half, with an interval.

    The interval draws within each class. Undefined without a thing of each class. Source: Hanley and
    McNeil, "The meaning and use of the area under a ROC curve" (1982).
    """
    if (missing := _missing(truth)) is not None:
        return missing
    positive, rated = np.array(truth), np.array(ratings, dtype=np.float64)
    wins = np.heaviside(rated[:, None] - rated[None, :], 0.5) * np.outer(positive, ~positive)

    def statistic(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        pairs = (counts @ positive) * (counts @ ~positive)
        return np.asarray(((counts @ wins) * counts).sum(axis=1) / pairs)

    everything = np.eye(len(rated))
    value = float(statistic(everything.sum(axis=0)[None])[0])
    return Estimate(value, interval=bootstrap_interval(everything, positive.astype(int).tolist(), statistic, seed=seed))


def _missing(truth: Sequence[bool]) -> Estimate | None:
    if not any(truth):
        return Estimate(None, "there is no judged excerpt that fits")
    if all(truth):
        return Estimate(None, "there is no judged excerpt that does not fit")
    return None
