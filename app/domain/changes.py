"""The effect of a new explanation: the score of the neuron's previous explanation compared with the new one's."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from app.domain.headlines import Figures, HeadlineKind
from app.domain.standing import ScoreName, standing_score

SMALLEST_DIFFERENCE = 0.005
"""Two scores that differ by less count as equal, since pages show two digits."""
MEASURES = tuple(kind.name_of_score for kind in HeadlineKind)
"""The scores by which two explanations are compared, the preferred one first."""


class Change(StrEnum):
    """How a new explanation changed a neuron's score."""

    BETTER = "better"
    SAME = "same"
    """The scores differ by less than ``SMALLEST_DIFFERENCE``, or the texts are equal."""
    WORSE = "worse"
    FIRST = "first"
    """The neuron had no explanation before."""
    UNCLEAR = "unclear"
    """The two have no defined score by the same scorer and simulator."""

    @property
    def label(self) -> str:
        """The words that pages show for the change."""
        return {Change.FIRST: "first explanation", Change.UNCLEAR: "not comparable"}.get(self, self.value)


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """A neuron's score before and after, by one scorer and simulator if both explanations have such a score."""

    change: Change
    scorer: str | None = None
    """The scorer by which the two are compared; None if they are not comparable."""
    before: float | None = None
    after: float | None = None

    @property
    def difference(self) -> float | None:
        """After minus before; None if they are not comparable."""
        if self.scorer is None or self.before is None or self.after is None:
            return None
        return self.after - self.before


S = TypeVar("S", bound=Figures)


@dataclass(frozen=True, slots=True)
class ScoredText:
    """An explanation's text, with its scores in the order in which they were stored."""

    text: str
    scores: Sequence[Figures]
    made_by_method: bool

    def measured(self, name: ScoreName) -> Figures | None:
        """The score of this name that represents the explanation; None if missing or undefined."""
        score = standing_score(self.scores, name, made_by_method=self.made_by_method)
        return None if score is None or score.value is None else score

    @property
    def value(self) -> float | None:
        """The value of the explanation's most preferred score."""
        return next((score.value for name in MEASURES if (score := self.measured(name)) is not None), None)


def compared(before: ScoredText | None, after: ScoredText) -> ScoreChange:
    """The scores of two explanations of a neuron by the first of ``MEASURES`` that both have from the same simulator.

    ``before`` is None if the neuron had no explanation.
    """
    if before is None:
        return ScoreChange(Change.FIRST, after=after.value)
    for name in MEASURES:
        old, new = before.measured(name), after.measured(name)
        if old is not None and new is not None and old.simulator == new.simulator:
            return _by(name, old.value, new.value, same_text=before.text == after.text)
    change = Change.SAME if before.text == after.text else Change.UNCLEAR
    return ScoreChange(change, before=before.value, after=after.value)


def _by(name: ScoreName, old: float | None, new: float | None, *, same_text: bool) -> ScoreChange:
    difference = (new or 0.0) - (old or 0.0)
    if same_text or abs(difference) < SMALLEST_DIFFERENCE:
        change = Change.SAME
    else:
        change = Change.BETTER if difference > 0 else Change.WORSE
    return ScoreChange(change, name.scorer, old, new)
