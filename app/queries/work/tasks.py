"""Tasks as pages show them. ``app.work`` changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from app.domain.work import KINDS, WorkStatus
from app.errors import NotFound
from app.models import Account, Subject, Task, Worker
from app.models.work import IS_ACTIVE
from app.queries.common.paging import Page, id_page
from app.queries.common.prepared import PreparedSelect
from app.queries.work.leased import LeasedRow, leased_values
from app.queries.work.workers import LeaseShown, lease_shown

_UNLISTED = [kind.name for kind in KINDS.values() if not kind.is_listed]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow(LeasedRow):
    """One task of a list."""

    kind: str
    label: str
    """The kind in words."""
    title: str
    subject: str | None
    by: str | None
    result_address: str | None
    """The page that shows the result, once there is one."""


@dataclass(frozen=True, slots=True)
class ActiveTasks:
    """The number of queued and of running tasks."""

    queued: int
    running: int


_IS_LISTED = Task.kind.not_in([literal_column(repr(kind)) for kind in _UNLISTED])
ACTIVE_TASKS = PreparedSelect(
    ActiveTasks,
    select(
        *(
            func.count().filter(Task.status == literal_column(repr(str(status)))).label(status)
            for status in (WorkStatus.QUEUED, WorkStatus.RUNNING)
        )
    ).where(IS_ACTIVE, _IS_LISTED),
)
"""Tasks of the kinds that are listed."""


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """A task with its result, and the worker that had it last."""

    task: TaskRow
    parameters: dict[str, Any]
    result: dict[str, Any]
    lease: LeaseShown | None


def tasks_page(session: Session, *, size: int, after: str | None = None, before: str | None = None) -> Page[TaskRow]:
    """``size`` tasks of the kinds that are listed, newest first. Raises Invalid for a malformed cursor."""

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[TaskRow]:
        order = Task.id.desc() if newest_first else Task.id.asc()
        listed = _COLUMNS.where(Task.kind.not_in(_UNLISTED), *conditions).order_by(order).limit(limit)
        return [_row(row.Task, row.slug, row.name) for row in session.execute(listed)]

    return id_page(read, Task.id, size=size, after=after, before=before)


def task_detail(session: Session, *, task_id: int) -> TaskDetail:
    """One task of a kind that is listed. Raises NotFound."""
    row = session.execute(
        _COLUMNS.add_columns(Worker)
        .outerjoin(Worker, Worker.id == Task.worker_id)
        .where(Task.id == task_id, Task.kind.not_in(_UNLISTED))
    ).first()
    if row is None:
        raise NotFound("There is no such task.")
    return TaskDetail(
        task=_row(row.Task, row.slug, row.name),
        parameters=row.Task.parameters,
        result=row.Task.result or {},
        lease=lease_shown(row.Worker, row.Task.lease_until),
    )


_COLUMNS = (
    select(Task, Subject.slug, Account.name)
    .outerjoin(Subject, Subject.id == Task.subject_id)
    .outerjoin(Account, Account.id == Task.account_id)
)


def _row(task: Task, subject: str | None, by: str | None) -> TaskRow:
    kind = KINDS.get(task.kind)
    has_page = kind is not None and task.status == WorkStatus.SUCCEEDED
    return TaskRow(
        **leased_values(task),
        kind=task.kind,
        label=task.kind if kind is None else kind.label,
        title=task.title,
        subject=subject,
        by=by,
        result_address=kind.result_address(task.id, task.parameters) if kind is not None and has_page else None,
    )
