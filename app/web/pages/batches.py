"""Batches and runs: how far they are, what went wrong, cancel and retry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import BIGGEST_ID
from app.domain.roles import Permission
from app.domain.work import WorkStatus
from app.queries.people.accounts import Viewer
from app.queries.runs.progress import (
    BatchState,
    BatchSummary,
    RunDetail,
    RunRow,
    WorkerCount,
    batch_summary,
    batches_page,
    run_detail,
    runs_page,
    worker_count,
)
from app.queries.work.workers import LeaseShown
from app.web.deps import AppSettings, DbSession, allowed_to
from app.web.listing.work import address_with, seconds_between
from app.web.rendering.templating import page
from app.work import enqueue as jobs

router = APIRouter(dependencies=[Depends(allowed_to(Permission.READ_OPERATIONS), scope="function")])

ENOUGH_TO_GUESS = 5
"""Ended runs from which a pace is worth telling."""

Id = Annotated[int, Path(ge=1, le=BIGGEST_ID)]
MayCancel = Annotated[Viewer, Depends(allowed_to(Permission.CANCEL), scope="function")]
MayQueue = Annotated[Viewer, Depends(allowed_to(Permission.QUEUE), scope="function")]


@dataclass(frozen=True, slots=True)
class BatchesPage:
    """All batches, newest first."""

    batches: tuple[BatchSummary, ...]
    here: str
    """The address of this page, with its cursor."""
    previous: str | None
    next: str | None
    workers: WorkerCount

    @property
    def is_busy(self) -> bool:
        """Whether something on this page still moves."""
        return any(batch.n_active for batch in self.batches)


@dataclass(frozen=True, slots=True)
class BatchesBatch:
    """One batch: its progress and its runs."""

    batch: BatchSummary
    address: str
    here: str
    """The address of this page, with its filter and its cursor."""
    seconds_left: float | None
    """At the batch's mean pace so far; None where that is not meaningful."""
    workers: WorkerCount
    status: WorkStatus | None
    filters: dict[WorkStatus, str]
    """The addresses that show the runs of one status only."""
    runs: tuple[RunRow, ...]
    previous: str | None
    next: str | None

    @property
    def is_busy(self) -> bool:
        """Whether a run of the batch still moves."""
        return self.batch.n_active > 0


@dataclass(frozen=True, slots=True)
class BatchesRun:
    """One run with all that is known of it."""

    run: RunRow
    method: str
    method_label: str
    by: str | None
    lease: LeaseShown | None
    waited_seconds: float | None
    worked_seconds: float | None
    address: str


@page(router, "/batches", template="batches/page.html", partial="batches/_batches.html")
def batches(
    session: DbSession, settings: AppSettings, after: str | None = None, before: str | None = None
) -> BatchesPage:
    """What has been queued, newest first."""
    found = batches_page(session, size=settings.page_size, after=after or None, before=before or None)
    return BatchesPage(
        batches=found.rows,
        here=address_with("/batches", after=after, before=before),
        previous=address_with("/batches", before=found.previous) if found.previous is not None else None,
        next=address_with("/batches", after=found.next) if found.next is not None else None,
        workers=worker_count(session),
    )


@page(router, "/batches/{batch_id}", template="batches/batch.html", partial="batches/_progress.html")
def batch(
    session: DbSession,
    settings: AppSettings,
    batch_id: Id,
    *,
    status: WorkStatus | None = None,
    after: str | None = None,
    before: str | None = None,
) -> BatchesBatch:
    """A batch's progress, and its runs with errors and new candidates."""
    summary = batch_summary(session, batch_id=batch_id)
    found = runs_page(
        session, batch_id=batch_id, size=settings.page_size, status=status, after=after or None, before=before or None
    )
    address, workers = f"/batches/{batch_id}", worker_count(session)
    return BatchesBatch(
        batch=summary,
        address=address,
        here=address_with(address, status=status, after=after, before=before),
        seconds_left=_seconds_left(summary) if workers.alive and not workers.pauses else None,
        workers=workers,
        status=status,
        filters={each: address_with(address, status=each) for each in WorkStatus},
        runs=found.rows,
        previous=address_with(address, status=status, before=found.previous) if found.previous is not None else None,
        next=address_with(address, status=status, after=found.next) if found.next is not None else None,
    )


@router.post("/batches/{batch_id}/cancel", include_in_schema=False)
def cancel_batch(session: DbSession, viewer: MayCancel, batch_id: Id) -> Response:
    """Cancel the runs of a batch that have not ended."""
    jobs.cancel_batch(session, batch_id=batch_id, account_id=viewer.id)
    return RedirectResponse(f"/batches/{batch_id}", status_code=303)


@page(router, "/runs/{run_id}", template="batches/run.html", partial="batches/_run.html")
def run(session: DbSession, run_id: Id) -> BatchesRun:
    """A run: attempts, executions, deaths, who holds it, its error."""
    detail: RunDetail = run_detail(session, run_id=run_id)
    shown = detail.run
    return BatchesRun(
        run=shown,
        method=detail.method,
        method_label=detail.method_label,
        by=detail.by,
        lease=detail.lease,
        waited_seconds=seconds_between(shown.queued_at, shown.started_at),
        worked_seconds=seconds_between(shown.started_at, shown.finished_at or datetime.now(UTC)),
        address=f"/runs/{run_id}",
    )


@router.post("/runs/{run_id}/cancel", include_in_schema=False)
def cancel_run(session: DbSession, viewer: MayCancel, run_id: Id) -> Response:
    """Cancel a run that has not ended."""
    jobs.cancel_run(session, run_id=run_id, account_id=viewer.id)
    return RedirectResponse(f"/runs/{run_id}", status_code=303)


@router.post("/runs/{run_id}/retry", include_in_schema=False)
def retry_run(session: DbSession, viewer: MayQueue, run_id: Id) -> Response:
    """Queue a run again that has ended without a result."""
    jobs.retry_run(session, run_id=run_id, account_id=viewer.id)
    return RedirectResponse(f"/runs/{run_id}", status_code=303)


def _seconds_left(summary: BatchSummary) -> float | None:
    if summary.state is not BatchState.RUNNING or summary.n_ended < ENOUGH_TO_GUESS:
        return None
    elapsed = (datetime.now(UTC) - summary.created_at).total_seconds()
    return elapsed / summary.n_ended * summary.n_active
