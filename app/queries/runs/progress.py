"""Batches and runs as pages show them. ``app.work`` changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, literal_column, select, true
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID
from app.domain.changes import Change
from app.domain.failures import CauseCount, causes_of
from app.domain.work import ACTIVE, WorkStatus
from app.errors import NotFound
from app.models import Account, Batch, Method, Neuron, Run, Subject, Worker
from app.queries.common.paging import Page, id_page
from app.queries.common.prepared import PreparedSelect, one_statement
from app.queries.runs.changes import ChangeCounts, ChangeOrder, RunOutcome, changed_runs, counted_changes
from app.queries.runs.counts import counted_runs
from app.queries.runs.results import RunResult, made_by_runs, with_texts
from app.queries.work.leased import LeasedRow, leased_values
from app.queries.work.pauses import PAUSES
from app.queries.work.workers import WORKERS_ALIVE, LeaseShown, lease_shown

LOOKED_AT = 500
"""Failures whose causes are counted at most, the newest ones."""


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
    """The batch in words."""
    filters: str | None
    """The query string of the filtered list whose neurons were queued; None if they were named one by one."""
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
    """The price of its calls to language models so far."""
    spent_estimated: float
    """The part of it that is estimated by this program, since the endpoint reported no token counts."""
    price_cap: float | None

    @property
    def n_failed(self) -> int:
        """Runs that ended because of an error."""
        return self.counts[WorkStatus.FAILED] + self.counts[WorkStatus.QUARANTINED]

    @property
    def list_address(self) -> str:
        """URL of the list from which its neurons were chosen, as it is now."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow(LeasedRow):
    """One row of a list of runs."""

    batch_id: int
    subject: str
    layer: int
    index: int
    result: RunResult | None
    outcome: RunOutcome | None
    """The change that the run made; None if it has no text."""
    score_before: float | None
    """The neuron's score before the run, shown until the run has ended."""


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
    """The workers that have reported recently, and why work waits, if it does."""

    alive: int
    pauses: tuple[str, ...]


def batches_page(
    session: Session, *, size: int, by: str | None = None, after: str | None = None, before: str | None = None
) -> Page[BatchSummary]:
    """``size`` batches, newest first: all, or an account's. Raises Invalid for a malformed cursor."""
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
    """The newest batch queued by an account; None if there is none."""
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
    """``size`` runs of a batch, last queued first: all, or those of a status; or changed runs in their own order.

    Raises Invalid for a malformed cursor.
    """
    if isinstance(listed, ChangeOrder):
        ids = changed_runs(session, listed, size=size, after=after, before=before)
        by_id = {row.id: row for row in _rows_of(session, ids.rows)}
        return Page(tuple(by_id[i] for i in ids.rows), ids.previous, ids.next)
    wanted: list[ColumnElement[bool]] = [Run.batch_id == batch_id]
    if listed is not None:
        # The status is a literal in the statement, so that the planner can use the partial index.
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


@dataclass(frozen=True, slots=True)
class _Failure:
    error: str | None


def _newest_failures(status: WorkStatus) -> PreparedSelect[_Failure]:
    """The newest failures of a batch with a status, which is a literal so that the planner can use a partial index."""
    own = (Run.batch_id == bindparam("batch_id", type_=BigInteger), Run.status == literal_column(repr(str(status))))
    found = select(Run.error).where(*own).order_by(Run.id.desc()).limit(bindparam("newest", type_=BigInteger))
    return PreparedSelect(_Failure, found)


_FAILURES = [_newest_failures(status) for status in (WorkStatus.FAILED, WorkStatus.QUARANTINED)]


def failure_causes(session: Session, *, batch_id: int, newest: int = LOOKED_AT) -> tuple[CauseCount, ...]:
    """The causes of a batch's newest failures, the most frequent first. One query of at most twice ``newest`` rows."""
    with one_statement(session) as asked:
        found = [asked.send(each.given(batch_id=batch_id, newest=newest)) for each in _FAILURES]
    return causes_of([row.error for each in found for row in each.rows])


def worker_count(session: Session) -> WorkerCount:
    """The workers that could take a run now. One query."""
    with one_statement(session) as asked:
        alive, pauses = asked.send(WORKERS_ALIVE.given()), asked.send(PAUSES.given())
    reasons = (p.reason if p.is_held else f"{p.reason.rstrip('.')}. It resumes by itself." for p in pauses.rows)
    return WorkerCount(len(alive.rows), tuple(reasons))


def _batches(
    session: Session, conditions: Sequence[ColumnElement[bool]], *, newest_first: bool, limit: int
) -> list[BatchSummary]:
    runs, changed = counted_runs(), counted_changes()
    rows = session.execute(
        select(Batch, Subject.slug, Method.name.label("method"), Method.version, Method.label, Account.name.label("by"))
        .add_columns(*(runs.c[status].label(f"runs_{status}") for status in WorkStatus))
        .add_columns(*(changed.c[name].label(f"changed_{name}") for name in (*Change, "current")))
        .join(Subject, Subject.id == Batch.subject_id)
        .join(Method, Method.id == Batch.method_id)
        .outerjoin(Account, Account.id == Batch.account_id)
        .join(runs, true())
        .join(changed, true())
        .where(*conditions)
        .order_by(Batch.id.desc() if newest_first else Batch.id)
        .limit(limit)
    )
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
            counts={status: getattr(row, f"runs_{status}") for status in WorkStatus},
            changes=ChangeCounts({change: getattr(row, f"changed_{change}") for change in Change}, row.changed_current),
            spent=row.Batch.spent,
            spent_estimated=row.Batch.spent_estimated,
            price_cap=row.Batch.price_cap,
        )
        for row in rows
    ]


def _run_columns() -> Select[*tuple[Any, ...]]:
    return with_texts(
        select(Run, Neuron.layer, Neuron.index, Neuron.headline_score, Neuron.current_score, Subject.slug)
        .select_from(Run)
        .join(Neuron, Neuron.id == Run.neuron_id)
        .join(Batch, Batch.id == Run.batch_id)
        .join(Subject, Subject.id == Batch.subject_id)
    )


def _with_results(session: Session, rows: Sequence[Any]) -> list[RunRow]:
    made = made_by_runs(session, rows)
    return [
        RunRow(
            **leased_values(row.Run),
            batch_id=row.Run.batch_id,
            subject=row.slug,
            layer=row.layer,
            index=row.index,
            result=made[row.Run.id].result if row.Run.id in made else None,
            outcome=made[row.Run.id].outcome if row.Run.id in made else None,
            score_before=_first_known(row.headline_score, row.current_score) if row.Run.status in ACTIVE else None,
        )
        for row in rows
    ]


def _first_known(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
