"""Selection of the next piece of work, and its lease.

Fair between people: in each lane, the person whose work was begun longest ago is next. Of one person's batches the
smallest is next, but every fourth time the oldest, so that a series of small batches never stops a large one.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.domain.work import Lane, WorkStatus
from app.work.lease import Lease, RunLease, TaskLease

NOBODY = 0
"""The account id of work that no person queued."""

# The commit need not reach the disk: a crash that forgets it puts the work back, and the fence refuses the late result.
# Right after a large batch the planner has no statistics of its runs yet: without the other setting (ADR 0064) it would
# read and sort all of them for each one that is taken, instead of taking the first of the index.
_SETTINGS = text("SELECT set_config('synchronous_commit', 'off', true), set_config('enable_sort', 'off', true)")
# Batches are found one after the other through the index of queued runs, which is as fast for one of 300,000 runs as
# for one of two.
_BATCHES = text(f"""
    WITH RECURSIVE queued(batch_id) AS (
        (SELECT batch_id FROM run WHERE status = '{WorkStatus.QUEUED}' ORDER BY batch_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT run.batch_id FROM run WHERE run.status = '{WorkStatus.QUEUED}' AND run.batch_id > queued.batch_id
            ORDER BY run.batch_id LIMIT 1
        )
        FROM queued WHERE queued.batch_id IS NOT NULL
    )
    SELECT batch.id, coalesce(batch.account_id, 0) AS account_id
    FROM queued
    JOIN batch ON batch.id = queued.batch_id
    JOIN method ON method.id = batch.method_id
    LEFT JOIN turn ON turn.lane = :lane AND turn.account_id = coalesce(batch.account_id, 0)
    WHERE NOT EXISTS (SELECT FROM pause WHERE pause.provider = method.provider AND pause.until > now())
    ORDER BY turn.taken_at NULLS FIRST, coalesce(batch.account_id, 0),
        CASE WHEN turn.n_taken % 4 = 3 THEN 0 ELSE batch.n_runs END, batch.id
""")  # noqa: S608 - a word of an enum
_NEXT_RUN = f"""
    SELECT id FROM run
    WHERE batch_id = :batch_id AND status = '{WorkStatus.QUEUED}' AND (due_at IS NULL OR due_at <= now())
    ORDER BY batch_id, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - a word of an enum
_NEXT_TASK = f"""
    SELECT task.id FROM task
    LEFT JOIN turn ON turn.lane = task.lane AND turn.account_id = coalesce(task.account_id, 0)
    WHERE task.status = '{WorkStatus.QUEUED}' AND task.lane = :lane AND task.kind = ANY(:kinds)
        AND (task.due_at IS NULL OR task.due_at <= now())
        AND NOT EXISTS (SELECT FROM pause WHERE pause.provider = task.provider AND pause.until > now())
    ORDER BY turn.taken_at NULLS FIRST, task.id LIMIT 1 FOR UPDATE OF task SKIP LOCKED
"""  # noqa: S608 - a word of an enum
# In the outer SELECT, the table's name refers to the updated row.
_BEGIN = """
    WITH {table} AS (
        UPDATE {table} SET status = '{running}', stage = 'starting', progress = 0, executions = executions + 1,
            lease_token = :token, lease_until = now() + make_interval(secs => :lease_seconds),
            worker_id = :worker_id, started_at = now(), due_at = NULL
        WHERE id = ({next})
        RETURNING *
    )
    {columns}
"""


def _begin(lease: type[Lease], next_id: str) -> TextClause:
    return text(_BEGIN.format(table=lease.table, next=next_id, columns=lease.columns, running=WorkStatus.RUNNING))


_BEGIN_RUN, _BEGIN_TASK = _begin(RunLease, _NEXT_RUN), _begin(TaskLease, _NEXT_TASK)
# Whoever finds the turn locked leaves it: to wait for a worker that froze would cost more than a turn out of order. A
# row that another transaction inserts or has updated cannot be skipped by an INSERT, only waited for. A person's first
# turn is therefore inserted under a lock, by a statement that begins after the lock is held and sees what the others
# who held it have inserted.
_TURN = text("""
    UPDATE turn SET taken_at = clock_timestamp(), n_taken = n_taken + 1
    WHERE (lane, account_id) = (
        SELECT lane, account_id FROM turn WHERE lane = :lane AND account_id = :account_id FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
""")
_IS_FIRST_TURN = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended('turn in ' || CAST(:lane AS text), CAST(:account_id AS bigint)))
    WHERE NOT EXISTS (SELECT FROM turn WHERE lane = :lane AND account_id = :account_id)
""")
_FIRST_TURN = text("""
    INSERT INTO turn (lane, account_id, taken_at, n_taken)
    SELECT CAST(:lane AS text), CAST(:account_id AS bigint), clock_timestamp(), 1
    WHERE NOT EXISTS (SELECT FROM turn WHERE lane = :lane AND account_id = :account_id)
""")


@dataclass(frozen=True, slots=True)
class Taker:
    """The worker that takes work, with a new token by which a commit of unknown outcome is found again."""

    worker_id: uuid.UUID
    token: uuid.UUID
    lease_seconds: float

    @property
    def values(self) -> dict[str, object]:
        """The parameters of the statements that begin work."""
        return {"worker_id": self.worker_id, "token": self.token, "lease_seconds": self.lease_seconds}


def begin_run(session: Session, *, taker: Taker) -> RunLease | None:
    """Take the next run. None if none is due."""
    session.execute(_SETTINGS)
    for batch in session.execute(_BATCHES, {"lane": Lane.RUNS}).all():
        row = session.execute(_BEGIN_RUN, {**taker.values, "batch_id": batch.id}).mappings().first()
        if row is not None:
            _take_turn(session, Lane.RUNS, batch.account_id)
            return RunLease(**row)
    return None


def begin_task(session: Session, *, taker: Taker, lane: Lane, kinds: Collection[str]) -> TaskLease | None:
    """Take the next task of the lane, of the kinds that the worker knows. None if none is due."""
    session.execute(_SETTINGS)
    row = session.execute(_BEGIN_TASK, {**taker.values, "lane": lane, "kinds": list(kinds)}).mappings().first()
    if row is None:
        return None
    lease = TaskLease(**row)
    _take_turn(session, lane, lease.account_id or NOBODY)
    return lease


def _take_turn(session: Session, lane: Lane, account_id: int) -> None:
    values = {"lane": lane, "account_id": account_id}
    if session.execute(_TURN, values).first() is None and session.scalar(_IS_FIRST_TURN, values):
        session.execute(_FIRST_TURN, values)
