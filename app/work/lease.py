"""The life of a leased row: find, renew, report, finish, fail, put back, reap. Runs and tasks share the statements.

The row's lease token is the fence: a worker with another token can change nothing. Rows are
locked in ascending order of id, and before neurons.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from psycopg.types.json import Jsonb
from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.domain.work import Lane, WorkStatus
from app.queries.history.events import record_event
from app.work.engine import wake_workers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    """The right to work on a row until the lease ends. All later changes need its token."""

    table: ClassVar[str]
    columns: ClassVar[str]
    """A SELECT of the lease's fields."""

    id: int
    token: uuid.UUID
    kind: str
    """``run``, or the kind of the task."""
    attempt: int
    """Failed attempts before this one."""
    provider: str | None
    """The language model that the work calls; while its provider is paused, the work waits."""
    subject_id: int | None
    lane: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLease(_Lease):
    """A run and its lease."""

    table: ClassVar[str] = "run"
    columns: ClassVar[str] = """
        SELECT run.id, run.lease_token AS token, 'run' AS kind, run.attempt, method.provider, batch.subject_id,
            'runs' AS lane, run.batch_id, run.neuron_id, run.method_id
        FROM run JOIN method ON method.id = run.method_id JOIN batch ON batch.id = run.batch_id
    """

    batch_id: int
    neuron_id: int
    method_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLease(_Lease):
    """A task and its lease."""

    table: ClassVar[str] = "task"
    columns: ClassVar[str] = """
        SELECT id, lease_token AS token, kind, attempt, provider, subject_id, lane, account_id, parameters FROM task
    """

    account_id: int | None
    parameters: Mapping[str, Any]


Lease: TypeAlias = RunLease | TaskLease


@dataclass(frozen=True, slots=True)
class Reaped:
    """The numbers of rows that a search for expired leases changed."""

    n_requeued: int = 0
    n_quarantined: int = 0


_STATUSES = {status.value: status for status in WorkStatus}
"""The words of the statements below."""


class _Statements:
    """The statements of one table of leased rows."""

    def __init__(self, lease: type[Lease]) -> None:
        def of(statement: str) -> TextClause:
            return text(statement.format(table=lease.table, columns=lease.columns, **_STATUSES))

        self.lease, self.find = lease, of(_FIND)
        self.renew, self.progress, self.end = of(_RENEW), of(_PROGRESS), of(_END)
        self.put_back, self.expired, self.died = of(_PUT_BACK), of(_EXPIRED), of(_DIED)


_FIND = "{columns} WHERE {table}.status = '{running}' AND {table}.lease_token = ANY(CAST(:tokens AS uuid[]))"
_RENEW = """
    UPDATE {table} SET lease_until = now() + make_interval(secs => :lease_seconds)
    WHERE id = ANY(CAST(:ids AS bigint[])) AND lease_token = ANY(CAST(:tokens AS uuid[])) AND status = '{running}'
    RETURNING lease_token
"""
_PROGRESS = """
    UPDATE {table} SET stage = :stage, progress = :progress
    WHERE id = :id AND lease_token = :token AND status = '{running}'
    RETURNING id
"""
_END = """
    UPDATE {table} SET status = CAST(:status AS text), stage = CAST(:status AS text), error = :error,
        attempt = attempt + :failures,
        progress = CASE WHEN CAST(:status AS text) = '{succeeded}' THEN 1 ELSE progress END,
        lease_token = NULL, lease_until = NULL, finished_at = now()
    WHERE id = :id AND lease_token = :token AND status = '{running}'
    RETURNING id
"""
_PUT_BACK = """
    UPDATE {table} SET status = '{queued}', stage = '{queued}', progress = 0, error = coalesce(:error, error),
        attempt = attempt + :failures, deaths = deaths + :deaths,
        due_at = now() + make_interval(secs => :delay_seconds),
        lease_token = NULL, lease_until = NULL, worker_id = NULL
    WHERE id = :id AND lease_token = :token AND status = '{running}'
    RETURNING id
"""
_EXPIRED = """
    SELECT lease_token AS token, deaths, worker_id FROM {table}
    WHERE status = '{running}' AND lease_until < now()
        AND pg_postmaster_start_time() < now() - make_interval(secs => :lease_seconds)
    ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
"""
_DIED = "UPDATE {table} SET deaths = deaths + 1 WHERE id = :id"
_RESULT = text("UPDATE task SET result = :result WHERE id = :id")

_TABLES = {lease.table: _Statements(lease) for lease in (RunLease, TaskLease)}


def find_lease(session: Session, *, token: uuid.UUID) -> Lease | None:
    """The lease with this token; None if no row has it."""
    for statements in _TABLES.values():
        for lease in _leases(session, statements, [token]):
            return lease
    return None


def _leases(session: Session, statements: _Statements, tokens: Sequence[uuid.UUID]) -> list[Lease]:
    rows = session.execute(statements.find, {"tokens": list(map(str, tokens))}).mappings()
    return [statements.lease(**row) for row in rows]


def renew_leases(session: Session, *, leases: Sequence[Lease], lease_seconds: float) -> set[uuid.UUID]:
    """Prolong leases; returns the tokens of those that are still held."""
    held: set[uuid.UUID] = set()
    for table, statements in _TABLES.items():
        own = [lease for lease in leases if lease.table == table]
        if own:
            values = {"ids": [lease.id for lease in own], "tokens": [str(lease.token) for lease in own]}
            held |= set(session.scalars(statements.renew, {**values, "lease_seconds": lease_seconds}))
    return held


def store_progress(session: Session, *, lease: Lease, stage: str, progress: float) -> bool:
    """Store the stage of the work and its ``progress`` 0..1. Returns False if the lease is lost."""
    values = {"id": lease.id, "token": lease.token, "stage": stage, "progress": progress}
    return session.execute(_TABLES[lease.table].progress, values).first() is not None


def finish(session: Session, *, lease: Lease, result: Mapping[str, Any] | None = None) -> bool:
    """Mark the row as succeeded, before its results are stored in the same transaction.

    ``result`` is stored with a task; a run's results are rows of their own. Returns False if the lease is lost: the
    caller rolls back and drops the results.
    """
    if not _end(session, lease=lease, status=WorkStatus.SUCCEEDED, error=None, failures=0):
        return False
    if result is not None:
        session.execute(_RESULT, {"id": lease.id, "result": Jsonb(dict(result))})
    return True


def fail(session: Session, *, lease: Lease, error: str) -> bool:
    """End the work without a result, for a permanent cause. Returns False, without changes, if the lease is lost."""
    return _end_without_result(session, lease=lease, status=WorkStatus.FAILED, error=error, failures=1)


def end_without_explanation(session: Session, *, lease: Lease, reason: str) -> bool:
    """End a run that found nothing worth saying; counts no failed attempt. Returns False if the lease is lost."""
    return _end_without_result(session, lease=lease, status=WorkStatus.NO_EXPLANATION, error=reason, failures=0)


def retry_later(session: Session, *, lease: Lease, error: str, delay_seconds: float, max_attempts: int) -> bool:
    """Count a failed attempt: queue the work again after a delay, or quarantine it after ``max_attempts``.

    Returns False if the lease is lost.
    """
    if lease.attempt + 1 >= max_attempts:
        return _end_without_result(session, lease=lease, status=WorkStatus.QUARANTINED, error=error, failures=1)
    return _put_back(session, lease=lease, error=error, failures=1, delay_seconds=delay_seconds)


def release(session: Session, *, lease: Lease, delay_seconds: float = 0.0) -> bool:
    """Queue the work again without counting an attempt. Returns False if the lease is lost."""
    return _put_back(session, lease=lease, error=None, delay_seconds=delay_seconds)


def reap_expired(session: Session, *, lease_seconds: float, max_deaths: int, retry_seconds: float = 0.0) -> Reaped:
    """Queue work with an expired lease again; work whose lease expired ``max_deaths`` times is quarantined.

    An expired lease means that its worker crashed or froze, unless the database itself was away: within
    ``lease_seconds`` of its start nothing is reaped, so that workers can renew. Any number of callers at a time.

    It is not known which piece of work crashed a worker. So its pieces begin again one after the other, runs before
    tasks, with a wait of ``retry_seconds`` that doubles with each crash. Otherwise one piece would crash the others'
    worker until all are quarantined.
    """
    reaped = Counter[WorkStatus]()
    n_of_worker = Counter[uuid.UUID | None]()
    for statements in _TABLES.values():
        rows = {row.token: row for row in session.execute(statements.expired, {"lease_seconds": lease_seconds})}
        for lease in _leases(session, statements, list(rows)):
            row, times = rows[lease.token], rows[lease.token].deaths + 1
            error = f"Its worker crashed or froze while it ran ({times} of {max_deaths} times)."
            if times < max_deaths:
                delay = n_of_worker[row.worker_id] * retry_seconds * 2.0**times
                _put_back(session, lease=lease, error=error, deaths=1, delay_seconds=delay)
                reaped[WorkStatus.QUEUED] += 1
            else:
                session.execute(statements.died, {"id": lease.id})
                _end_without_result(session, lease=lease, status=WorkStatus.QUARANTINED, error=error, failures=0)
                reaped[WorkStatus.QUARANTINED] += 1
            n_of_worker[row.worker_id] += 1
    return Reaped(reaped[WorkStatus.QUEUED], reaped[WorkStatus.QUARANTINED])


def _end_without_result(session: Session, *, lease: Lease, status: WorkStatus, error: str, failures: int) -> bool:
    if not _end(session, lease=lease, status=status, error=error, failures=failures):
        return False
    record_event(
        session,
        kind=EventKind(f"{lease.table}.{status}"),
        subject_id=lease.subject_id,
        neuron_id=lease.neuron_id if isinstance(lease, RunLease) else None,
        detail={**event_detail(lease), "error": error},
    )
    return True


def event_detail(lease: Lease) -> dict[str, Any]:
    """The ``detail`` of events about leased work."""
    if isinstance(lease, RunLease):
        return {"run_id": lease.id, "batch_id": lease.batch_id}
    return {"task_id": lease.id, "kind": lease.kind}


def _end(session: Session, *, lease: Lease, status: WorkStatus, error: str | None, failures: int) -> bool:
    values = {"id": lease.id, "token": lease.token, "status": status, "error": error, "failures": failures}
    return session.execute(_TABLES[lease.table].end, values).first() is not None


def _put_back(
    session: Session,
    *,
    lease: Lease,
    error: str | None,
    failures: int = 0,
    deaths: int = 0,
    delay_seconds: float = 0.0,
) -> bool:
    values = {"id": lease.id, "token": lease.token, "error": error, "failures": failures, "deaths": deaths}
    row = session.execute(_TABLES[lease.table].put_back, {**values, "delay_seconds": delay_seconds}).first()
    if row is not None and not delay_seconds:
        wake_workers(session, lane=Lane(lease.lane))
    return row is not None
