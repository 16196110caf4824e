"""Tasks: work of every kind but runs. Their progress, errors and results; cancel and retry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Depends
from fastapi.responses import RedirectResponse, Response

from app.domain.roles import Permission
from app.queries.embeddings.source import embedding_source
from app.queries.runs.progress import WorkerCount, worker_count
from app.queries.work.tasks import TaskRow, task_detail, tasks_page
from app.queries.work.workers import LeaseShown
from app.web.deps import AppSettings, DbSession, IdInPath, MayCancel, MayQueue, allowed_to
from app.web.http.routing import PageRouter
from app.web.listing.work import address_with, seconds_between
from app.web.rendering.templating import page
from app.work.tasks import cancel_task, retry_task

router = PageRouter(dependencies=[Depends(allowed_to(Permission.READ_OPERATIONS), scope="function")])


@dataclass(frozen=True, slots=True)
class TasksPage:
    """All tasks, newest first."""

    tasks: tuple[TaskRow, ...]
    here: str
    """The address of this page of the list."""
    previous: str | None
    next: str | None
    workers: WorkerCount
    embeds: bool
    """Whether an embedding model is set, so that there is a page about embeddings."""

    @property
    def is_busy(self) -> bool:
        """Whether something on this page still changes."""
        return any(task.status.is_active for task in self.tasks)


@dataclass(frozen=True, slots=True)
class TasksTask:
    """One task with all that is known of it."""

    task: TaskRow
    result: dict[str, Any]
    by: str | None
    lease: LeaseShown | None
    waited_seconds: float | None
    worked_seconds: float | None
    address: str


@page(router, "/tasks", template="tasks/page.html", partial="tasks/_tasks.html")
def tasks(session: DbSession, settings: AppSettings, after: str | None = None, before: str | None = None) -> TasksPage:
    """Imports, exports, checks and the like, newest first."""
    found = tasks_page(session, size=settings.page_size, after=after or None, before=before or None)
    return TasksPage(
        tasks=found.rows,
        here=address_with("/tasks", after=after, before=before),
        previous=address_with("/tasks", before=found.previous) if found.previous is not None else None,
        next=address_with("/tasks", after=found.next) if found.next is not None else None,
        workers=worker_count(session),
        embeds=embedding_source(settings) is not None,
    )


@page(router, "/tasks/{task_id}", template="tasks/task.html", partial="tasks/_task.html")
def task(session: DbSession, task_id: IdInPath) -> TasksTask:
    """A task: progress, attempts, worker crashes, who has it, its error and its result."""
    detail = task_detail(session, task_id=task_id)
    shown = detail.task
    return TasksTask(
        task=shown,
        result=detail.result,
        by=shown.by,
        lease=detail.lease,
        waited_seconds=seconds_between(shown.queued_at, shown.started_at),
        worked_seconds=seconds_between(shown.started_at, shown.finished_at or datetime.now(UTC)),
        address=f"/tasks/{task_id}",
    )


@router.post("/tasks/{task_id}/cancel", include_in_schema=False)
def cancel(session: DbSession, viewer: MayCancel, task_id: IdInPath) -> Response:
    """Cancel a task that has not ended."""
    cancel_task(session, task_id=task_id, account_id=viewer.id)
    return RedirectResponse(f"/tasks/{task_id}", status_code=303)


@router.post("/tasks/{task_id}/retry", include_in_schema=False)
def retry(session: DbSession, viewer: MayQueue, task_id: IdInPath) -> Response:
    """Queue a task again that has ended without a result."""
    retry_task(session, task_id=task_id, account_id=viewer.id)
    return RedirectResponse(f"/tasks/{task_id}", status_code=303)
