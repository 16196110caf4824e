"""Batches and runs as pages show them. ``app.work`` changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_ID
from app.domain.headlines import Headline, headline_of
from app.domain.standing import SCORE_2023, standing_score
from app.domain.verdict_lines import VerdictLine, verdict_line
from app.domain.work import WorkStatus
from app.errors import NotFound
from app.models import Account, Batch, Explanation, Method, Neuron, Pause, Run, Subject, Worker
from app.queries.common.paging import Page, id_page
from app.queries.doubts.shown import doubts_about
from app.queries.neurons.claims import ScoreRow, scores_of_runs
from app.queries.runs.counts import batch_counts
from app.queries.work.workers import LeaseShown, is_alive, lease_shown


class BatchState(StrEnum):
    """What a batch as a whole is at."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A batch, with its runs counted by status."""

    id: int
    subject: str
    method: str
    method_label: str
    by: str | None
    created_at: datetime
    cancelled_at: datetime | None
    n_runs: int
    counts: dict[WorkStatus, int]
    spent: float
    """What its calls to language models have cost so far."""
    spent_estimated: float
    """The part of it that is our estimate, because the endpoint reported no token counts."""
    price_cap: float | None

    @property
    def n_active(self) -> int:
        """Runs that are queued or running."""
        return self.counts[WorkStatus.QUEUED] + self.counts[WorkStatus.RUNNING]

    @property
    def n_ended(self) -> int:
        """Runs that need no worker any more, whatever became of them."""
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
    session: Session, *, size: int, after: str | None = None, before: str | None = None
) -> Page[BatchSummary]:
    """``size`` batches, newest first. Raises Invalid for a malformed cursor."""

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[BatchSummary]:
        return _batches(session, conditions, newest_first=newest_first, limit=limit)

    return id_page(read, Batch.id, size=size, after=after, before=before)


def batch_summary(session: Session, *, batch_id: int) -> BatchSummary:
    """One batch. Raises NotFound."""
    found = _batches(session, [Batch.id == batch_id], newest_first=True, limit=1) if 0 < batch_id <= BIGGEST_ID else []
    if not found:
        raise NotFound("There is no such batch.")
    return found[0]


def runs_page(
    session: Session,
    *,
    batch_id: int,
    size: int,
    status: WorkStatus | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Page[RunRow]:
    """``size`` runs of a batch in the order of queueing, reversed. Raises Invalid for a malformed cursor."""
    wanted: list[ColumnElement[bool]] = [Run.batch_id == batch_id]
    if status is not None:
        # The word stands in the statement itself, so that the planner sees which partial index fits.
        wanted.append(Run.status == literal_column(repr(str(status))))

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[RunRow]:
        order = Run.id.desc() if newest_first else Run.id.asc()
        rows = session.execute(_run_columns().where(*wanted, *conditions).order_by(order).limit(limit)).all()
        return _with_results(session, rows)

    return id_page(read, Run.id, size=size, after=after, before=before)


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


def worker_count(session: Session) -> WorkerCount:
    """The workers that could take a run now."""
    alive = session.scalar(select(func.count()).select_from(Worker).where(is_alive()))
    pauses = session.scalars(select(Pause.reason).where(Pause.until > func.now()).order_by(Pause.provider))
    return WorkerCount(alive or 0, tuple(pauses))


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
    counts = batch_counts(session, batch_ids=[row.Batch.id for row in rows])
    return [
        BatchSummary(
            id=row.Batch.id,
            subject=row.slug,
            method=f"{row.method} v{row.version}",
            method_label=row.label,
            by=row.by,
            created_at=row.Batch.created_at,
            cancelled_at=row.Batch.cancelled_at,
            n_runs=row.Batch.n_runs,
            counts=counts[row.Batch.id],
            spent=row.Batch.spent,
            spent_estimated=row.Batch.spent_estimated,
            price_cap=row.Batch.price_cap,
        )
        for row in rows
    ]


def _run_columns() -> Any:
    return (
        select(Run, Neuron.layer, Neuron.index, Subject.slug)
        .select_from(Run)
        .join(Neuron, Neuron.id == Run.neuron_id)
        .join(Batch, Batch.id == Run.batch_id)
        .join(Subject, Subject.id == Batch.subject_id)
    )


def _with_results(session: Session, rows: Sequence[Any]) -> list[RunRow]:
    results = _results(session, [row.Run.id for row in rows if row.Run.status == WorkStatus.SUCCEEDED])
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
        )
        for row in rows
    ]


def _results(session: Session, run_ids: Sequence[int]) -> dict[int, RunResult]:
    """The explanation that represents each of these runs with the scores that it measured, by the run's id."""
    made = aliased(Explanation)
    first = select(made.id).where(made.run_id == Run.id, made.rank == 0).scalar_subquery()
    texts = session.execute(
        select(Run.id, Explanation.id.label("explanation_id"), Explanation.text)
        .join(Explanation, Explanation.id == func.coalesce(Run.explanation_id, first))
        .where(Run.id.in_(run_ids))
    ).all()
    measured = scores_of_runs(session, {row.id: row.explanation_id for row in texts})
    old = {key: standing_score(scores, SCORE_2023, made_by_method=True) for key, scores in measured.items()}
    headlines = {key: headline_of(scores, made_by_method=True) for key, scores in measured.items()}
    doubts = doubts_about(session, explanation_ids=(row.explanation_id for row in texts))
    return {
        row.id: RunResult(
            explanation_id=row.explanation_id,
            text=row.text,
            score=None if (score := old[row.id]) is None else score.value,
            simulator=None if score is None else score.simulator,
            headline=headlines[row.id],
            line=verdict_line(headlines[row.id], doubts.get(row.explanation_id, ())),
        )
        for row in texts
    }
