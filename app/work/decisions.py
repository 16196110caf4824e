"""People's decisions about leased rows: cancel them, or start them over. Runs and tasks share the statements."""

from typing import Literal

from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.work import ACTIVE, WorkStatus
from app.errors import Conflict
from app.models.base import is_one_of

Which = Literal["run", "task", "batch"]

_CANCEL = """
    UPDATE {table} SET status = '{cancelled}', stage = '{cancelled}', error = coalesce(:reason, error),
        lease_token = NULL, lease_until = NULL, due_at = NULL, finished_at = now()
    FROM (SELECT id FROM {table} WHERE {which} AND {active} ORDER BY id FOR UPDATE) AS chosen
    WHERE {table}.id = chosen.id
"""
_START_OVER = """
    UPDATE {table} SET status = '{queued}', stage = '{queued}', progress = 0, attempt = 0, deaths = 0, error = NULL,
        due_at = NULL, worker_id = NULL, lease_token = NULL, lease_until = NULL, started_at = NULL,
        finished_at = NULL, queued_at = now()
    WHERE id = :id
"""


def _cancel(table: str, which: str) -> TextClause:
    active = is_one_of("status", ACTIVE)
    return text(_CANCEL.format(table=table, which=which, active=active, cancelled=WorkStatus.CANCELLED))


_CANCELS = {
    "run": _cancel("run", "id = :id"),
    "task": _cancel("task", "id = :id"),
    "batch": _cancel("run", "batch_id = :id"),
}
_START_OVERS = {table: text(_START_OVER.format(table=table, queued=WorkStatus.QUEUED)) for table in ("run", "task")}


def cancel_rows(session: Session, *, which: Which, row_id: int, reason: str | None = None) -> int:
    """Cancel the active rows of one run, one task, or the runs of one batch. Returns the number cancelled.

    ``reason`` becomes their error. Rows that have already ended keep theirs.
    """
    return session.connection().execute(_CANCELS[which], {"id": row_id, "reason": reason}).rowcount


def start_over(session: Session, *, which: Literal["run", "task"], row_id: int) -> None:
    """Queue an ended row again: no attempts, no crashes, no error. The caller's transaction outlives a refusal.

    Raises Conflict if another active row does the same work.
    """
    try:
        with session.begin_nested():
            session.execute(_START_OVERS[which], {"id": row_id})
    except IntegrityError as error:
        raise Conflict("The same work is already queued or running. Wait until it has ended.") from error
