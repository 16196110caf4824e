"""The headline of an explanation: its score over the whole corpus, with its two sides.

The executed score speaks where there is one: it is exact. Otherwise the estimate from excerpts with known inclusion
probabilities speaks, with its interval. Neither is chosen for being the higher; see ``standing`` for which of several
scores of one name stands. The 2023 score is shown beside the headline, never in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.domain.executed import CORPUS, EXECUTED
from app.domain.intervals import Interval
from app.domain.standing import SCORE_EXECUTED, ScoreName, standing_score

ESTIMATED = "whole_corpus"
"""The scorer whose number is an estimate of what holds for the whole corpus."""
SCORE_ESTIMATED = ScoreName(ESTIMATED, CORPUS)
ESTIMATED_PRECISION = ScoreName(f"{ESTIMATED}_precision", CORPUS)
ESTIMATED_RECALL = ScoreName(f"{ESTIMATED}_recall", CORPUS)
ESTIMATED_MARGIN = ScoreName(f"{ESTIMATED}_margin", CORPUS)
HEADLINES = (SCORE_EXECUTED, SCORE_ESTIMATED)
"""The scores that may be a headline, the one that is preferred first."""
HEADLINE_SCORERS = tuple(name.scorer for name in (*HEADLINES, ESTIMATED_PRECISION, ESTIMATED_RECALL, ESTIMATED_MARGIN))
"""The scorers of all numbers that a headline is made of."""


class Figures(Protocol):
    """A score as the headline needs it. ``precision`` and ``recall`` are those of an executed explanation."""

    @property
    def scorer(self) -> str: ...
    @property
    def sample(self) -> str: ...
    @property
    def simulator(self) -> str | None: ...
    @property
    def value(self) -> float | None: ...
    @property
    def undefined_reason(self) -> str | None: ...
    @property
    def interval_low(self) -> float | None: ...
    @property
    def interval_high(self) -> float | None: ...
    @property
    def token_lookup_baseline(self) -> float | None: ...
    @property
    def precision(self) -> float | None: ...
    @property
    def recall(self) -> float | None: ...


S = TypeVar("S", bound=Figures)


@dataclass(frozen=True, slots=True)
class Side:
    """A number of the headline beside its score. Without a value it is undefined or not known."""

    value: float | None = None
    interval: Interval | None = None
    undefined_reason: str | None = None


UNKNOWN = Side()


@dataclass(frozen=True, slots=True)
class Headline(Generic[S]):
    """A score over the whole corpus, the share of its claims that are right, and the share of activations it claims.

    ``margin`` is the score minus that of the neuron's token table on the same tokens.
    """

    score: S
    precision: Side
    recall: Side
    margin: Side

    @property
    def is_exact(self) -> bool:
        """Whether every token of the corpus was looked at."""
        return self.score.scorer == EXECUTED

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of an estimate."""
        return _interval(self.score)


def headline_of(scores: Sequence[S], *, made_by_method: bool) -> Headline[S] | None:
    """The headline of an explanation; None where it has no score over the whole corpus.

    ``scores`` are the explanation's, in the order in which they were stored. Where no headline score is defined the
    last one of ``HEADLINES`` says why.
    """

    def standing(name: ScoreName) -> S | None:
        return standing_score(scores, name, made_by_method=made_by_method)

    found = [score for name in HEADLINES if (score := standing(name)) is not None]
    if not found:
        return None
    score = next((s for s in found if s.value is not None), found[-1])
    if score.scorer == EXECUTED:
        table = score.token_lookup_baseline
        margin = None if score.value is None or table is None else score.value - table
        return Headline(score, Side(score.precision), Side(score.recall), Side(margin))
    names = (ESTIMATED_PRECISION, ESTIMATED_RECALL, ESTIMATED_MARGIN)
    return Headline(score, *(_side(standing(name)) for name in names))


def _side(score: Figures | None) -> Side:
    return UNKNOWN if score is None else Side(score.value, _interval(score), score.undefined_reason)


def _interval(score: Figures) -> Interval | None:
    if score.interval_low is None or score.interval_high is None:
        return None
    return score.interval_low, score.interval_high
