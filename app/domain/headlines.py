"""The headline of an explanation: the one score that every page, list, doubt and rank uses.

It is the whole-corpus score if that is defined: the executed score, which is exact, otherwise the estimate from
excerpts with known inclusion probabilities. If neither is defined, it is the 2023 score, shown under that name. None is
chosen for being higher; see ``standing`` for which of several scores of one name is used. The 2023 score is shown
beside a whole-corpus headline, never in its place, and scores of different kinds are never ranked against each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from app.domain.executed import CORPUS
from app.domain.intervals import Interval
from app.domain.standing import MARGIN_2023, SCORE_2023, SCORE_EXECUTED, NamedScore, ScoreName, standing_score

ESTIMATED = "whole_corpus"
"""The scorer that estimates the score over the whole corpus."""
SCORE_ESTIMATED = ScoreName(ESTIMATED, CORPUS)
ESTIMATED_PRECISION = ScoreName(f"{ESTIMATED}_precision", CORPUS)
ESTIMATED_RECALL = ScoreName(f"{ESTIMATED}_recall", CORPUS)
ESTIMATED_MARGIN = ScoreName(f"{ESTIMATED}_margin", CORPUS)


class HeadlineKind(StrEnum):
    """The kinds of headline scores, the preferred one first."""

    EXECUTED = "executed"
    ESTIMATED = "estimated"
    SCORE_2023 = "score_2023"

    @property
    def name_of_score(self) -> ScoreName:
        """The name of the headline score."""
        return _NAMES[self]

    @property
    def is_whole_corpus(self) -> bool:
        """Whether the score describes the whole corpus and not just a few excerpts."""
        return self is not HeadlineKind.SCORE_2023


_NAMES = {
    HeadlineKind.EXECUTED: SCORE_EXECUTED,
    HeadlineKind.ESTIMATED: SCORE_ESTIMATED,
    HeadlineKind.SCORE_2023: SCORE_2023,
}
_MARGINS: Mapping[HeadlineKind, ScoreName] = {
    HeadlineKind.ESTIMATED: ESTIMATED_MARGIN,
    HeadlineKind.SCORE_2023: MARGIN_2023,
}
"""The scores that measure the paired margin over the token table."""
HEADLINE_NAMES = (*_NAMES.values(), ESTIMATED_PRECISION, ESTIMATED_RECALL, *_MARGINS.values())
"""The names of all scores that a headline is made of."""
HEADLINE_SCORERS = tuple(dict.fromkeys(name.scorer for name in HEADLINE_NAMES))
HEADLINE_SAMPLES = tuple(dict.fromkeys(name.sample for name in HEADLINE_NAMES))


class Figures(NamedScore, Protocol):
    """The parts of a stored score that the headline needs.

    ``precision`` and ``recall`` are those of an executed explanation.
    """

    @property
    def run_id(self) -> int | None: ...
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
    """A figure shown beside the headline score. Without a value it is undefined or not known."""

    value: float | None = None
    interval: Interval | None = None
    undefined_reason: str | None = None


UNKNOWN = Side()


@dataclass(frozen=True, slots=True)
class Headline(Generic[S]):
    """A score with precision (the share of claimed tokens on which the neuron fires) and recall.

    Precision and recall describe the whole corpus; they are not known if there is only a 2023 score. ``margin`` is the
    score minus that of the neuron's token table on the same tokens.
    """

    score: S
    kind: HeadlineKind
    precision: Side = UNKNOWN
    recall: Side = UNKNOWN
    margin: Side = UNKNOWN

    @property
    def is_exact(self) -> bool:
        """Whether the score was computed on every token of the corpus."""
        return self.kind is HeadlineKind.EXECUTED

    @property
    def is_whole_corpus(self) -> bool:
        """Whether the score describes the whole corpus; otherwise it is the 2023 score."""
        return self.kind.is_whole_corpus

    @property
    def interval(self) -> Interval | None:
        """The score's 95 % interval; None for an exact score."""
        return _interval(self.score)

    @property
    def token_table(self) -> float | None:
        """The token table's score on the same tokens; None if not known."""
        if self.score.value is None or self.margin.value is None:
            return None
        return self.score.value - self.margin.value


def headline_of(scores: Sequence[S], *, made_by_method: bool) -> Headline[S] | None:
    """The headline of an explanation; None if it has neither a whole-corpus nor a 2023 score.

    ``scores`` are the explanation's, in the order in which they were stored. If none of the headline
    scores is defined, the last kind present gives the reason.
    """
    found = {
        kind: score
        for kind, name in _NAMES.items()
        if (score := standing_score(scores, name, made_by_method=made_by_method)) is not None
    }
    if not found:
        return None
    kind = next((kind for kind, score in found.items() if score.value is not None), list(found)[-1])
    score = found[kind]
    if kind is HeadlineKind.EXECUTED:
        return Headline(score, kind, Side(score.precision), Side(score.recall), _to_baseline(score))
    estimate = found.get(HeadlineKind.ESTIMATED)
    return Headline(
        score,
        kind,
        _measured_with(estimate, ESTIMATED_PRECISION, scores),
        _measured_with(estimate, ESTIMATED_RECALL, scores),
        _measured_with(score, _MARGINS[kind], scores, otherwise=_to_baseline(score)),
    )


def _measured_with(score: S | None, name: ScoreName, scores: Sequence[S], *, otherwise: Side = UNKNOWN) -> Side:
    """The score of this name that the same run computed from the same simulations."""
    if score is None:
        return otherwise
    beside = next(
        (
            other
            for other in reversed(scores)
            if name.names(other) and (other.run_id, other.simulator) == (score.run_id, score.simulator)
        ),
        None,
    )
    return otherwise if beside is None else Side(beside.value, _interval(beside), beside.undefined_reason)


def _to_baseline(score: Figures) -> Side:
    """The margin over the token table as a plain difference, without an interval."""
    table = score.token_lookup_baseline
    return UNKNOWN if score.value is None or table is None else Side(score.value - table)


def _interval(score: Figures) -> Interval | None:
    if score.interval_low is None or score.interval_high is None:
        return None
    return score.interval_low, score.interval_high
