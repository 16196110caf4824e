"""What is said about a neuron: explanations with their scores, flags, runs, history. A query each."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, cast, select
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.standing import SCORE_2023, standing_score
from app.models import Account, Batch, Event, Explanation, Flag, Method, Run, Score
from app.queries.common.prepared import Columns, Rows, rows_of

HISTORY_LENGTH = 30


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A scorer's number with all that says how far to trust it."""

    id: int
    scorer: str
    sample: str
    simulator: str | None
    """The one whose expected activations were scored, with its calibration; None for a scorer that uses none."""
    collection_id: int | None
    """The collection whose records were scored; None where that is not known."""
    value: float | None
    undefined_reason: str | None
    interval_low: float | None
    interval_high: float | None
    n_valid: int
    n_failed: int
    token_lookup_baseline: float | None
    shuffled_baseline: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One explanation with its author and its scores, in the order in which they were stored."""

    id: int
    text: str
    author_kind: str
    author: str
    method: str | None
    method_id: int | None
    run_id: int | None
    rank: int
    """Among the candidates of its run, in the method's own order."""
    collection_id: int | None
    created_at: datetime
    provenance: dict[str, Any]
    scores: tuple[ScoreRow, ...]

    @property
    def headline(self) -> ScoreRow | None:
        """The 2023 score that stands for it, where there is one."""
        return standing_score(self.scores, SCORE_2023, made_by_method=self.method_id is not None)

    @property
    def by(self) -> str:
        """Who stands behind it, in words."""
        if self.author_kind == AuthorKind.METHOD:
            return self.method or self.author
        return f"{self.author} (import)" if self.author_kind == AuthorKind.IMPORT else self.author


@dataclass(frozen=True, slots=True)
class FlagShown:
    """A flag against one of the neuron's explanations."""

    id: int
    explanation_id: int
    reason: str
    note: str
    by: str
    created_at: datetime
    verdict: str | None
    resolution_note: str | None


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run of the neuron, as its page tells of it."""

    id: int
    batch_id: int
    method: str
    status: str
    stage: str
    progress: float
    error: str | None
    by: str | None
    queued_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventShown:
    """A line of the neuron's history."""

    kind: str
    at: datetime
    by: str | None
    detail: dict[str, Any]


_N_EXPLANATION = len(fields(CandidateRow)) - 1  # columns of an explanation, before those of a score

# Statements are built once: building them costs more than running them.
CANDIDATES = Columns(
    select(
        Explanation.id,
        Explanation.text,
        Explanation.author_kind,
        Explanation.author,
        Method.name + " v" + cast(Method.version, Text),
        Explanation.method_id,
        Explanation.run_id,
        Explanation.rank,
        Explanation.collection_id,
        Explanation.created_at,
        Explanation.provenance,
        *(getattr(Score, field.name) for field in fields(ScoreRow)),
    )
    .outerjoin(Method, Method.id == Explanation.method_id)
    .outerjoin(Score, Score.explanation_id == Explanation.id)
    .where(Explanation.neuron_id == bindparam("neuron_id"))
    .order_by(Explanation.id.desc(), Score.id)
)
_FLAGS = Columns(
    select(
        Flag.id,
        Flag.explanation_id,
        Flag.reason,
        Flag.note,
        Account.name,
        Flag.created_at,
        Flag.verdict,
        Flag.resolution_note,
    )
    .join(Explanation, Explanation.id == Flag.explanation_id)
    .join(Account, Account.id == Flag.account_id)
    .where(Explanation.neuron_id == bindparam("neuron_id"))
    .order_by(Flag.id.desc())
    .limit(HISTORY_LENGTH)
)
RUNS = Columns(
    select(
        Run.id,
        Run.batch_id,
        Method.label,
        Run.status,
        Run.stage,
        Run.progress,
        Run.error,
        Account.name,
        Run.queued_at,
        Run.finished_at,
    )
    .join(Method, Method.id == Run.method_id)
    .join(Batch, Batch.id == Run.batch_id)
    .outerjoin(Account, Account.id == Batch.account_id)
    .where(Run.neuron_id == bindparam("neuron_id"))
    .order_by(Run.id.desc())
    .limit(HISTORY_LENGTH)
)
EVENTS = Columns(
    select(Event.kind, Event.at, Account.name, Event.detail)
    .outerjoin(Account, Account.id == Event.account_id)
    .where(Event.neuron_id == bindparam("neuron_id"))
    .order_by(Event.id.desc())
    .limit(HISTORY_LENGTH)
)


def neuron_candidates(session: Session, *, neuron_id: int) -> tuple[CandidateRow, ...]:
    """Every explanation of a neuron with its scores, the newest first. One query."""
    return read_candidates(*rows_of(session, CANDIDATES.given(neuron_id=neuron_id)))


def read_candidates(rows: Rows) -> tuple[CandidateRow, ...]:
    """The explanations that ``CANDIDATES`` finds."""
    explanations: dict[int, Sequence[Any]] = {}
    scores: dict[int, list[ScoreRow]] = {}
    for row in rows:
        explanation, score = row[:_N_EXPLANATION], row[_N_EXPLANATION:]
        explanations[row[0]] = explanation
        found = scores.setdefault(row[0], [])
        if score[0] is not None:
            found.append(ScoreRow(*score))
    return tuple(CandidateRow(*(*explanation, tuple(scores[key]))) for key, explanation in explanations.items())


def neuron_flags(session: Session, *, neuron_id: int) -> tuple[FlagShown, ...]:
    """Flags against any explanation of a neuron, the newest first. One query."""
    (rows,) = rows_of(session, _FLAGS.given(neuron_id=neuron_id))
    return tuple(FlagShown(*row) for row in rows)


def neuron_runs(session: Session, *, neuron_id: int) -> tuple[RunShown, ...]:
    """The runs of a neuron, the newest first. One query."""
    return read_runs(*rows_of(session, RUNS.given(neuron_id=neuron_id)))


def read_runs(rows: Rows) -> tuple[RunShown, ...]:
    """The runs that ``RUNS`` finds."""
    return tuple(RunShown(*row) for row in rows)


def read_events(rows: Rows) -> tuple[EventShown, ...]:
    """The newest lines of a neuron's history, which ``EVENTS`` finds."""
    return tuple(EventShown(*row) for row in rows)
