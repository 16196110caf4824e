"""Which automatic score predicts human verdicts: ROC curves, areas, thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Bools, Float64s
from app.domain.judgements import auc
from app.domain.scores import Estimate

_Values = Float64s


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cut on a score: an explanation with ``value`` or more is predicted to hold."""

    value: float
    sensitivity: float
    specificity: float
    held_out: float | None
    """Sensitivity + specificity - 1 on items that did not choose the cut. None if a half lacks a verdict of either
    kind.

    Two halves of the items choose the cut for each other: the cut is the best of many, so its figures on the items that
    chose it are too good.
    """

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1 on the items that chose the cut."""
        return self.sensitivity + self.specificity - 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """How well one score separates explanations that hold from those that do not."""

    n_holds: int
    n_fails: int
    area: Estimate
    best: Threshold | None
    curve: tuple[tuple[float, float], ...]
    """Corners of the ROC curve, (1 - specificity, sensitivity), (0, 0) to (1, 1); empty if the area is undefined."""


def prediction(holds: Sequence[bool], scores: Sequence[float]) -> Prediction:
    """How well ``scores`` predict verdicts, in the items' own order. Raises ValueError if the lengths differ.

    Source: Hanley and McNeil (1982) for the area; Youden, "Index for rating diagnostic tests" (1950) for the cut.
    """
    if len(holds) != len(scores):
        raise ValueError("verdicts and scores differ in length")
    n_holds = sum(holds)
    if n_holds in (0, len(holds)):
        missing = "that holds" if n_holds == 0 else "that does not hold"
        area = Estimate(None, f"no explanation {missing} was judged")
        return Prediction(n_holds, len(holds) - n_holds, area, None, ())
    area = auc(holds, scores)
    if area.value is None:
        return Prediction(n_holds, len(holds) - n_holds, area, None, ())
    truth, values = np.array(holds), np.array(scores, dtype=np.float64)
    cuts, false_alarms, hits = _steps(truth, values)
    best = int(np.argmax(hits - false_alarms))
    threshold = None
    if best > 0:
        cut = float(cuts[best - 1])
        threshold = Threshold(cut, float(hits[best]), float(1 - false_alarms[best]), _held_out(truth, values))
    return Prediction(n_holds, len(holds) - n_holds, area, threshold, _corners(false_alarms, hits))


def found_at_false_alarms(wrong: Sequence[bool], suspicion: Sequence[float], *, false_alarms: float) -> float | None:
    """The share of wrong explanations found when at most the share ``false_alarms`` of the right ones is suspected too.

    None without a wrong or without a right explanation. Equal suspicions are found or left together.
    """
    if not any(wrong) or all(wrong):
        return None
    _, alarms, hits = _steps(np.array(wrong), np.array(suspicion, dtype=np.float64))
    return float(hits[alarms <= false_alarms].max())


def _steps(truth: Bools, values: _Values) -> tuple[_Values, _Values, _Values]:
    """The cuts, highest first [K], and the false-alarm and hit rates of no cut and of each cut, [K + 1] each."""
    cuts, where = np.unique(-values, return_inverse=True)
    hits = np.bincount(where, weights=truth, minlength=len(cuts)).cumsum() / truth.sum()
    alarms = np.bincount(where, weights=~truth, minlength=len(cuts)).cumsum() / (~truth).sum()
    return -cuts, np.concatenate([[0.0], alarms]), np.concatenate([[0.0], hits])


def _held_out(truth: Bools, values: _Values) -> float | None:
    halves = [slice(None, None, 2), slice(1, None, 2)]
    if any(truth[half].all() or not truth[half].any() for half in halves):
        return None
    said = np.zeros_like(truth)
    for chosen, other in (halves, halves[::-1]):
        cuts, alarms, hits = _steps(truth[chosen], values[chosen])
        best = int(np.argmax(hits - alarms))
        said[other] = values[other] >= (cuts[best - 1] if best else np.inf)
    return float(said[truth].mean() - said[~truth].mean())


def _corners(x: _Values, y: _Values) -> tuple[tuple[float, float], ...]:
    """A staircase without the points that lie on a straight line between their neighbours."""
    kept = [(float(x[0]), float(y[0]))]
    for i in range(1, len(x) - 1):
        turn = (x[i] - kept[-1][0]) * (y[i + 1] - y[i]) - (y[i] - kept[-1][1]) * (x[i + 1] - x[i])
        if abs(turn) > 1e-15:
            kept.append((float(x[i]), float(y[i])))
    kept.append((float(x[-1]), float(y[-1])))
    return tuple(kept)
