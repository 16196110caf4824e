"""A check of one explanation, as the pages of its neuron show it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.orm import Session

from app.domain.executed import EXECUTED, Mistake
from app.models import CheckMistake, CollectedNeuron, CorpusCheck, Explanation, Neuron, Score
from app.queries.common.prepared import PreparedSelect, labelled, rows_of


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """Figures of an executed explanation over every token of a collection's corpus."""

    explanation_id: int
    collection_id: int
    reading: str
    """The claims that were executed, in the lexical language."""
    firing_level: int
    n_tokens: int
    n_firing: int
    n_claimed: int
    n_right: int
    correlation: float | None
    undefined_reason: str | None
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    code_version: str
    """The version of the program that executed it."""
    maximum: float | None
    """The neuron's highest activation in the corpus, in the model's units; it is level 10."""


@dataclass(frozen=True, slots=True)
class StoredMistakes:
    """The stored mistakes of one kind: see ``CheckMistake``."""

    kind: Mistake
    n_tokens: int
    token_ids: list[int]
    token_counts: list[int]
    excerpt_ids: list[int]
    activations: bytes
    expected: bytes


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """The newest check of an explanation."""

    figures: CheckFigures
    mistakes: tuple[StoredMistakes, ...]


@dataclass(frozen=True, slots=True)
class _CheckRow:
    """The figures of a check and one kind of its mistakes."""

    figures: CheckFigures
    mistakes: StoredMistakes


_FIGURES = {
    **{field.name: getattr(CorpusCheck, field.name, None) for field in fields(CheckFigures)},
    "correlation": Score.value,
    "undefined_reason": Score.undefined_reason,
    "maximum": func.coalesce(CollectedNeuron.max, Neuron.max),
}
_MISTAKES = {field.name: getattr(CheckMistake, field.name) for field in fields(StoredMistakes)}

CHECKS = PreparedSelect(
    _CheckRow,
    select(*labelled("figures", _FIGURES), *labelled("mistakes", _MISTAKES))
    .select_from(CorpusCheck)
    .join(
        CheckMistake,
        and_(
            CheckMistake.explanation_id == CorpusCheck.explanation_id,
            CheckMistake.collection_id == CorpusCheck.collection_id,
        ),
    )
    .join(
        Score,
        and_(
            Score.explanation_id == CorpusCheck.explanation_id,
            Score.collection_id == CorpusCheck.collection_id,
            Score.scorer == EXECUTED,
        ),
    )
    .join(Explanation, Explanation.id == CorpusCheck.explanation_id)
    .join(Neuron, Neuron.id == Explanation.neuron_id)
    .outerjoin(
        CollectedNeuron,
        and_(
            CollectedNeuron.neuron_id == Explanation.neuron_id,
            CollectedNeuron.collection_id == CorpusCheck.collection_id,
        ),
    )
    .where(CorpusCheck.explanation_id == bindparam("explanation_id"))
    .order_by(CorpusCheck.collection_id.desc(), CheckMistake.kind),
)


def executed_check(session: Session, *, explanation_id: int) -> StoredCheck | None:
    """The newest check of an explanation; None if it has none. One query."""
    return newest_check(rows_of(session, CHECKS.given(explanation_id=explanation_id)))


def newest_check(rows: Sequence[_CheckRow]) -> StoredCheck | None:
    """The check on the newest collection among the rows of ``CHECKS``; None if there is none."""
    if not rows:
        return None
    figures = rows[0].figures
    return StoredCheck(
        figures, tuple(row.mistakes for row in rows if row.figures.collection_id == figures.collection_id)
    )
