"""What is said about a neuron: explanations with their scores, flags, runs, history. A query each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.domain.results import HEADLINE_SAMPLE, HEADLINE_SCORER
from app.models import Account, Batch, Event, Explanation, Flag, Method, Run, Score

HISTORY_LENGTH = 30


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A scorer's number with all that says how far to trust it."""

    scorer: str
    sample: str
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
    """One explanation with its author and its scores, the headline first."""

    id: int
    text: str
    author_kind: str
    author: str
    method: str | None
    run_id: int | None
    created_at: datetime
    provenance: dict[str, Any]
    scores: tuple[ScoreRow, ...]

    @property
    def headline(self) -> ScoreRow | None:
        """The score that lists sort by, if it has been computed."""
        return next((s for s in self.scores if s.scorer == HEADLINE_SCORER and s.sample == HEADLINE_SAMPLE), None)

    @property
    def by(self) -> str:
        """Who stands behind it, in words."""
        if self.author_kind == "method":
            return self.method or self.author
        return f"{self.author} (import)" if self.author_kind == "import" else self.author


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


# Statements are built once: building them costs more than running them.
_CANDIDATES = (
    select(Explanation, Method.name, Method.version, Score)
    .outerjoin(Method, Method.id == Explanation.method_id)
    .outerjoin(Score, Score.explanation_id == Explanation.id)
    .where(Explanation.neuron_id == bindparam("neuron_id"))
    .order_by(Explanation.id.desc(), Score.id)
)
_FLAGS = (
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
_RUNS = (
    select(Run, Method.label, Account.name)
    .join(Method, Method.id == Run.method_id)
    .join(Batch, Batch.id == Run.batch_id)
    .outerjoin(Account, Account.id == Batch.account_id)
    .where(Run.neuron_id == bindparam("neuron_id"))
    .order_by(Run.id.desc())
    .limit(HISTORY_LENGTH)
)
_EVENTS = (
    select(Event.kind, Event.at, Account.name, Event.detail)
    .outerjoin(Account, Account.id == Event.account_id)
    .where(Event.neuron_id == bindparam("neuron_id"))
    .order_by(Event.id.desc())
    .limit(HISTORY_LENGTH)
)


def neuron_candidates(session: Session, *, neuron_id: int) -> tuple[CandidateRow, ...]:
    """Every explanation of a neuron with its scores, the newest first. One query."""
    rows = session.execute(_CANDIDATES, {"neuron_id": neuron_id})
    found: dict[int, tuple[Explanation, str | None, list[ScoreRow]]] = {}
    for explanation, name, version, score in rows:
        method = f"{name} v{version}" if name is not None else None
        scores = found.setdefault(explanation.id, (explanation, method, []))[2]
        if score is not None:
            scores.append(_score_row(score))
    return tuple(
        CandidateRow(
            id=explanation.id,
            text=explanation.text,
            author_kind=explanation.author_kind,
            author=explanation.author,
            method=method,
            run_id=explanation.run_id,
            created_at=explanation.created_at,
            provenance=explanation.provenance,
            scores=tuple(scores),
        )
        for explanation, method, scores in found.values()
    )


def _score_row(score: Score) -> ScoreRow:
    return ScoreRow(
        scorer=score.scorer,
        sample=score.sample,
        value=score.value,
        undefined_reason=score.undefined_reason,
        interval_low=score.interval_low,
        interval_high=score.interval_high,
        n_valid=score.n_valid,
        n_failed=score.n_failed,
        token_lookup_baseline=score.token_lookup_baseline,
        shuffled_baseline=score.shuffled_baseline,
        chance=score.chance,
    )


def neuron_flags(session: Session, *, neuron_id: int) -> tuple[FlagShown, ...]:
    """Flags against any explanation of a neuron, the newest first. One query."""
    return tuple(FlagShown(*row) for row in session.execute(_FLAGS, {"neuron_id": neuron_id}))


def neuron_runs(session: Session, *, neuron_id: int) -> tuple[RunShown, ...]:
    """The runs of a neuron, the newest first. One query."""
    rows = session.execute(_RUNS, {"neuron_id": neuron_id})
    return tuple(
        RunShown(
            id=run.id,
            batch_id=run.batch_id,
            method=label,
            status=run.status,
            stage=run.stage,
            progress=run.progress,
            error=run.error,
            by=by,
            queued_at=run.queued_at,
            finished_at=run.finished_at,
        )
        for run, label, by in rows
    )


def neuron_events(session: Session, *, neuron_id: int) -> tuple[EventShown, ...]:
    """The newest lines of a neuron's history. One query."""
    return tuple(EventShown(*row) for row in session.execute(_EVENTS, {"neuron_id": neuron_id}))
