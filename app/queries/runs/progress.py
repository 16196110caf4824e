"""Batches and runs as pages show them. ``app.work`` changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal_column, select
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_ID
from app.domain.explanation_states import ExplanationState
from app.domain.failures import CauseCount, causes_of
from app.domain.headlines import Headline, headline_of
from app.domain.standing import SCORE_2023, standing_score
from app.domain.verdict_lines import VerdictLine, verdict_line
from app.domain.work import ACTIVE, WorkStatus
from app.errors import NotFound
from app.models import Account, Batch, Explanation, Method, Neuron, Pause, Run, RunChange, Subject, Worker
from app.queries.common.paging import Page, id_page
from app.queries.doubts.shown import doubts_about
from app.queries.explanations.judged import states_of
from app.queries.neurons.claims import ScoreRow, scores_of_runs
from app.queries.runs.changes import ChangeCounts, ChangeOrder, RunOutcome, change_counts, changed_runs, outcomes_of
from app.queries.runs.counts import batch_counts
from app.queries.work.pauses import HELD
from app.queries.work.workers import LeaseShown, is_alive, lease_shown

LOOKED_AT = 500
"""Failures whose causes are counted: more of them have the same causes."""


class BatchState(StrEnum):
    """The state of a batch as a whole."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A batch, with its runs counted by status."""

    id: int
    title: str
    """What was queued, in words."""
    filters: str | None
    """The query string of the list that its neurons were chosen from; None where they were named."""
    subject: str
    method: str
    method_label: str
    by: str | None
    created_at: datetime
    cancelled_at: datetime | None
    n_runs: int
    counts: dict[WorkStatus, int]
    changes: ChangeCounts
    spent: float
    """What its calls to language models have cost so far."""
    spent_estimated: float
    """The part of it that is our estimate, because the endpoint reported no token counts."""
    price_cap: float | None

    @property
    def n_failed(self) -> int:
        """Runs that ended by a fault."""
        return self.counts[WorkStatus.FAILED] + self.counts[WorkStatus.QUARANTINED]

    @property
    def list_address(self) -> str:
        """The list that its neurons were chosen from, as it is now."""
        return f"/{self.subject}?{self.filters}" if self.filters else f"/{self.subject}"

    @property
    def n_active(self) -> int:
        """Runs that are queued or running."""
        return self.counts[WorkStatus.QUEUED] + self.counts[WorkStatus.RUNNING]

    @property
    def n_ended(self) -> int:
        """Runs that have ended, with any status."""
        return sum(self.counts.values()) - self.n_active

    @property
    def state(self) -> BatchState:
        """Waiting until the first run begins, ended after the last."""
        if self.n_active == 0:
            return BatchState.ENDED
        has_begun = self.n_ended > 0 or self.counts[WorkStatus.RUNNING] > 0
        return BatchState.RUNNING if has_begun else BatchState.WAITING


@dataclass(frozen=True, slots=True)
class RunResult:
    """The explanation that represents a run: its method's first candidate, or the text that it was to score."""

    explanation_id: int
    text: str
    score: float | None
    """The 2023 score that this very run measured; later scores of the text are on its own page."""
    simulator: str | None
    """Of the scores."""
    headline: Headline[ScoreRow] | None
    """Of the executed score and what this run measured."""
    line: VerdictLine
    """What the headline means, with the doubts there are about the text now."""
    state: ExplanationState | None
    """What reviewers have made of the text by now; None where nobody has flagged or judged it."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a list."""

    id: int
    batch_id: int
    subject: str
    layer: int
    index: int
    status: WorkStatus
    stage: str
    progress: float
    """Share of the run's own work, 0..1."""
    attempt: int
    deaths: int
    executions: int
    error: str | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: RunResult | None
    outcome: RunOutcome | None
    """What it has changed; None where it has no text."""
    score_before: float | None
    """The neuron's score as long as the run has not ended."""


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with its method, and the worker that had it last."""

    run: RunRow
    method: str
    method_label: str
    by: str | None
    lease: LeaseShown | None


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """Who could work: workers that have shown themselves lately, and why work waits, if some does."""

    alive: int
    pauses: tuple[str, ...]


def batches_page(
    session: Session, *, size: int, by: str | None = None, after: str | None = None, before: str | None = None
) -> Page[BatchSummary]:
    """``size`` batches, newest first, all or an account's. Raises Invalid for a malformed cursor."""
    own: list[ColumnElement[bool]] = []
    if by is not None:
        own.append(Batch.account_id == select(Account.id).where(Account.name == by).scalar_subquery())

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[BatchSummary]:
        return _batches(session, [*own, *conditions], newest_first=newest_first, limit=limit)

    return id_page(read, Batch.id, size=size, after=after, before=before)


def batch_summary(session: Session, *, batch_id: int) -> BatchSummary:
    """One batch. Raises NotFound."""
    found = _batches(session, [Batch.id == batch_id], newest_first=True, limit=1) if 0 < batch_id <= BIGGEST_ID else []
    if not found:
        raise NotFound("There is no such batch.")
    return found[0]


def newest_batch(session: Session, *, account_id: int) -> BatchSummary | None:
    """The batch that an account has queued last; None where there is none."""
    found = _batches(session, [Batch.account_id == account_id], newest_first=True, limit=1)
    return found[0] if found else None


def runs_page(
    session: Session,
    *,
    batch_id: int,
    size: int,
    listed: WorkStatus | ChangeOrder | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Page[RunRow]:
    """``size`` runs of a batch in the order of queueing, reversed: all, those of a status, or changes in their order.

    Raises Invalid for a malformed cursor.
    """
    if isinstance(listed, ChangeOrder):
        ids = changed_runs(session, listed, size=size, after=after, before=before)
        by_id = {row.id: row for row in _rows_of(session, ids.rows)}
        return Page(tuple(by_id[i] for i in ids.rows), ids.previous, ids.next)
    wanted: list[ColumnElement[bool]] = [Run.batch_id == batch_id]
    if listed is not None:
        # The word stands in the statement itself, so that the planner sees which partial index fits.
        wanted.append(Run.status == literal_column(repr(str(listed))))

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[RunRow]:
        order = Run.id.desc() if newest_first else Run.id.asc()
        rows = session.execute(_run_columns().where(*wanted, *conditions).order_by(order).limit(limit)).all()
        return _with_results(session, rows)

    return id_page(read, Run.id, size=size, after=after, before=before)


def _rows_of(session: Session, run_ids: Sequence[int]) -> list[RunRow]:
    rows = session.execute(_run_columns().where(Run.id == func.any(list(run_ids)))).all() if run_ids else []
    return _with_results(session, rows)


def run_detail(session: Session, *, run_id: int) -> RunDetail:
    """One run with its method and worker. Raises NotFound."""
    row = None
    if 0 < run_id <= BIGGEST_ID:
        row = session.execute(
            _run_columns()
            .add_columns(Method, Worker, Account.name)
            .join(Method, Method.id == Run.method_id)
            .outerjoin(Account, Account.id == Batch.account_id)
            .outerjoin(Worker, Worker.id == Run.worker_id)
            .where(Run.id == run_id)
        ).first()
    if row is None:
        raise NotFound("There is no such run.")
    return RunDetail(
        run=_with_results(session, [row])[0],
        method=f"{row.Method.name} v{row.Method.version}",
        method_label=row.Method.label,
        by=row.name,
        lease=lease_shown(row.Worker, row.Run.lease_until),
    )


def failure_causes(session: Session, *, batch_id: int, newest: int = LOOKED_AT) -> tuple[CauseCount, ...]:
    """The causes of a batch's newest failures, the most frequent first. Two queries of at most ``newest`` rows."""
    errors: list[str | None] = []
    for status in (WorkStatus.FAILED, WorkStatus.QUARANTINED):
        one = select(Run.error).where(Run.batch_id == batch_id, Run.status == literal_column(repr(str(status))))
        errors += session.scalars(one.order_by(Run.id.desc()).limit(newest))
    return causes_of(errors)


def worker_count(session: Session) -> WorkerCount:
    """The workers that could take a run now."""
    alive = session.scalar(select(func.count()).select_from(Worker).where(is_alive()))
    pauses = session.scalars(select(Pause).where(Pause.until > func.now()).order_by(Pause.provider))
    reasons = (p.reason if p.until >= HELD else f"{p.reason.rstrip('.')}. It resumes by itself." for p in pauses)
    return WorkerCount(alive or 0, tuple(reasons))


def _batches(
    session: Session, conditions: Sequence[ColumnElement[bool]], *, newest_first: bool, limit: int
) -> list[BatchSummary]:
    rows = session.execute(
        select(Batch, Subject.slug, Method.name.label("method"), Method.version, Method.label, Account.name.label("by"))
        .join(Subject, Subject.id == Batch.subject_id)
        .join(Method, Method.id == Batch.method_id)
        .outerjoin(Account, Account.id == Batch.account_id)
        .where(*conditions)
        .order_by(Batch.id.desc() if newest_first else Batch.id)
        .limit(limit)
    ).all()
    ids = [row.Batch.id for row in rows]
    counts, changes = batch_counts(session, batch_ids=ids), change_counts(session, batch_ids=ids)
    return [
        BatchSummary(
            id=row.Batch.id,
            title=row.Batch.title or f"batch {row.Batch.id}",
            filters=row.Batch.filters,
            subject=row.slug,
            method=f"{row.method} v{row.version}",
            method_label=row.label,
            by=row.by,
            created_at=row.Batch.created_at,
            cancelled_at=row.Batch.cancelled_at,
            n_runs=row.Batch.n_runs,
            counts=counts[row.Batch.id],
            changes=changes[row.Batch.id],
            spent=row.Batch.spent,
            spent_estimated=row.Batch.spent_estimated,
            price_cap=row.Batch.price_cap,
        )
        for row in rows
    ]


def _run_columns() -> Any:
    return (
        select(Run, Neuron.layer, Neuron.index, Neuron.headline_score, Neuron.current_score, Subject.slug)
        .select_from(Run)
        .join(Neuron, Neuron.id == Run.neuron_id)
        .join(Batch, Batch.id == Run.batch_id)
        .join(Subject, Subject.id == Batch.subject_id)
    )


def _with_results(session: Session, rows: Sequence[Any]) -> list[RunRow]:
    succeeded = [row.Run.id for row in rows if row.Run.status == WorkStatus.SUCCEEDED]
    results = _results(session, succeeded)
    outcomes = outcomes_of(session, run_ids=succeeded) if succeeded else {}
    return [
        RunRow(
            id=row.Run.id,
            batch_id=row.Run.batch_id,
            subject=row.slug,
            layer=row.layer,
            index=row.index,
            status=WorkStatus(row.Run.status),
            stage=row.Run.stage,
            progress=row.Run.progress,
            attempt=row.Run.attempt,
            deaths=row.Run.deaths,
            executions=row.Run.executions,
            error=row.Run.error,
            queued_at=row.Run.queued_at,
            started_at=row.Run.started_at,
            finished_at=row.Run.finished_at,
            result=results.get(row.Run.id),
            outcome=outcomes.get(row.Run.id),
            score_before=_first_known(row.headline_score, row.current_score) if row.Run.status in ACTIVE else None,
        )
        for row in rows
    ]


def _first_known(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


# Made once: an alias costs more than the query.
_MADE = aliased(Explanation)


def _results(session: Session, run_ids: Sequence[int]) -> dict[int, RunResult]:
    """The explanation that represents each of these runs with the scores that it measured, by the run's id."""
    first = select(_MADE.id).where(_MADE.run_id == Run.id, _MADE.rank == 0).scalar_subquery()
    # What is given again was measured by the run that gave it first.
    measured_by = case((RunChange.is_copy, Explanation.run_id), else_=Run.id)
    texts = session.execute(
        select(Run.id, measured_by.label("measured_by"), Explanation.id.label("explanation_id"), Explanation.text)
        .outerjoin(RunChange, RunChange.run_id == Run.id)
        .join(Explanation, Explanation.id == func.coalesce(Run.explanation_id, first, RunChange.explanation_id))
        .where(Run.id.in_(run_ids))
    ).all()
    found = scores_of_runs(session, {row.measured_by: row.explanation_id for row in texts})
    measured = {row.id: found[row.measured_by] for row in texts}
    old = {key: standing_score(scores, SCORE_2023, made_by_method=True) for key, scores in measured.items()}
    headlines = {key: headline_of(scores, made_by_method=True) for key, scores in measured.items()}
    doubts = doubts_about(session, explanation_ids=(row.explanation_id for row in texts))
    states = states_of(session, explanation_ids=(row.explanation_id for row in texts))
    return {
        row.id: RunResult(
            explanation_id=row.explanation_id,
            text=row.text,
            score=None if (score := old[row.id]) is None else score.value,
            simulator=None if score is None else score.simulator,
            headline=headlines[row.id],
            line=verdict_line(headlines[row.id], doubts.get(row.explanation_id, ())),
            state=states.get(row.explanation_id),
        )
        for row in texts
    }
