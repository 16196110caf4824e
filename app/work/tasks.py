"""People's decisions about tasks: queue, cancel, start over. Each works in the caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.domain.work import ACTIVE, KINDS, Lane, TaskKind, WorkStatus
from app.errors import Conflict, NotFound
from app.models import Task
from app.models.work import IS_ACTIVE
from app.queries.history.events import record_event
from app.work.decisions import cancel_rows, start_over
from app.work.engine import wake_workers


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task that was queued, or the active task that already has the same unique key."""

    id: int
    is_new: bool


def enqueue_task(  # noqa: PLR0913 - a task's own columns
    session: Session,
    *,
    kind: TaskKind,
    title: str,
    account_id: int | None,
    parameters: Mapping[str, Any] | None = None,
    subject_id: int | None = None,
    provider: str | None = None,
    unique_key: str | None = None,
) -> QueuedTask:
    """Queue a task. ``parameters`` are JSON values that its handler understands.

    ``title`` describes it in lists. ``provider`` is the language model that it calls; the task waits while that is
    paused. While a task with ``unique_key`` is active, no other is queued and the active one is returned.
    """
    values = {
        "kind": kind.name,
        "lane": kind.lane,
        "title": title,
        "account_id": account_id,
        "subject_id": subject_id,
        "provider": provider,
        "unique_key": unique_key,
        "parameters": dict(parameters or {}),
    }
    statement = insert(Task).values(values).on_conflict_do_nothing(index_elements=["unique_key"], index_where=IS_ACTIVE)
    task_id = session.scalar(statement.returning(Task.id))
    if task_id is None:
        active = select(Task.id).where(Task.unique_key == unique_key, Task.status.in_(ACTIVE))
        existing = session.scalar(active)
        if existing is None:  # the other task has ended since the insert
            raise Conflict("The same work has just ended. Look at its result, or send the form again.")
        return QueuedTask(existing, is_new=False)
    wake_workers(session, lane=kind.lane)
    detail = {"task_id": task_id, "kind": kind.name, "title": title}
    record_event(session, kind=EventKind.TASK_QUEUED, account_id=account_id, subject_id=subject_id, detail=detail)
    return QueuedTask(task_id, is_new=True)


def cancel_task(session: Session, *, task_id: int, account_id: int | None) -> None:
    """Cancel a task. A running one notices at its next report, and its result is refused.

    Raises NotFound for an unknown task, Conflict for one that has ended.
    """
    task = _locked(session, task_id)
    if not WorkStatus(task.status).is_active:
        raise Conflict(f"This task has already ended: it is {task.status}.")
    _record(session, task, EventKind.TASK_CANCELLED, account_id)
    cancel_rows(session, which="task", row_id=task_id)


def retry_task(session: Session, *, task_id: int, account_id: int | None) -> None:
    """Queue a failed, cancelled or quarantined task again under its own id. Attempts and crashes start over.

    Raises NotFound for an unknown task, Conflict for one that is active or has succeeded, or if another active task has
    its unique key.
    """
    task = _locked(session, task_id)
    if not WorkStatus(task.status).may_be_retried:
        raise Conflict(f"Only a failed, cancelled or quarantined task can be retried; this one is {task.status}.")
    start_over(session, which="task", row_id=task_id)
    wake_workers(session, lane=Lane(task.lane))
    _record(session, task, EventKind.TASK_RETRIED, account_id)


def delete_old_tasks(session: Session) -> None:
    """Delete tasks that their kind keeps for a limited time only."""
    for kind in KINDS.values():
        if kind.keep_hours is not None:
            too_old = Task.queued_at < func.now() - timedelta(hours=kind.keep_hours)
            session.execute(delete(Task).where(Task.kind == kind.name, too_old))


def _locked(session: Session, task_id: int) -> Task:
    task = session.scalar(
        select(Task).where(Task.id == task_id).with_for_update().execution_options(populate_existing=True)
    )
    if task is None:
        raise NotFound("There is no such task.")
    return task


def _record(session: Session, task: Task, kind: EventKind, account_id: int | None) -> None:
    detail = {"task_id": task.id, "kind": task.kind, "was": task.status, "error": task.error}
    record_event(session, kind=kind, account_id=account_id, subject_id=task.subject_id, detail=detail)
