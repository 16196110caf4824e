"""Batches and runs: how far they are, what went wrong, cancel and retry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from fastapi import Depends, Query
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import LONGEST_NAME
from app.domain.changes import Change
from app.domain.failures import Cause, CauseCount, cause_of
from app.domain.roles import Permission
from app.domain.work import WorkStatus
from app.errors import Invalid
from app.queries.runs.changes import ChangeOrder
from app.queries.runs.progress import (
    BatchState,
    BatchSummary,
    RunDetail,
    RunRow,
    WorkerCount,
    batch_summary,
    batches_page,
    failure_causes,
    run_detail,
    runs_page,
    worker_count,
)
from app.queries.work.workers import LeaseShown
from app.web.deps import AppSettings, DbSession, IdInPath, MayCancel, MayQueue, allowed_to
from app.web.http.routing import PageRouter
from app.web.listing.work import address_with, seconds_between
from app.web.rendering.templating import page
from app.work import enqueue as jobs

router = PageRouter(dependencies=[Depends(allowed_to(Permission.READ_OPERATIONS), scope="function")])

FAILED = (WorkStatus.FAILED, WorkStatus.QUARANTINED)
ENOUGH_TO_GUESS = 5
"""Ended runs from which a pace is worth telling."""


@dataclass(frozen=True, slots=True)
class BatchesPage:
    """All batches, newest first."""

    batches: tuple[BatchSummary, ...]
    by: str | None
    """The account whose batches are listed; None for all."""
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
class RunsTab:
    """Some of a batch's runs, with the address that shows them alone."""

    label: str
    number: int
    address: str
    is_shown: bool


class RunsOrder(StrEnum):
    """What the runs of a batch may be sorted by, apart from the order in which they were queued."""

    BEST = "-difference"
    WORST = "difference"


@dataclass(frozen=True, slots=True)
class RunsAsked:
    """Which runs of a batch an address shows."""

    status: WorkStatus | None = None
    change: Change | None = None
    sort: RunsOrder | None = None

    def order(self, batch_id: int) -> ChangeOrder | None:
        """The order by what runs have changed; None for the order in which they were queued."""
        if self.change is None and self.sort is None:
            return None
        worst_first = self.sort is RunsOrder.WORST or (self.sort is None and self.change is Change.WORSE)
        return ChangeOrder(batch_id, self.change, best_first=not worst_first)

    def address(self, path: str, **cursor: str | None) -> str:
        """The address that shows them."""
        return address_with(path, status=self.status, change=self.change, sort=self.sort, **cursor)


async def asked_runs(
    status: WorkStatus | None = None, change: Change | None = None, sort: RunsOrder | None = None
) -> RunsAsked:
    """The runs that the address names. Raises Invalid where it names a status and a change."""
    if status is not None and (change is not None or sort is not None):
        raise Invalid("Runs are listed by status or by what they have changed. Choose one of the two.")
    return RunsAsked(status, change, sort)


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
    tabs: tuple[RunsTab, ...]
    order: str | None
    """The address that turns the order by difference round, or sorts by it; None where nothing can be compared."""
    direction: Literal["ascending", "descending"] | None
    """How the runs are sorted by difference now."""
    causes: tuple[CauseCount, ...]
    """Why the newest failures failed."""
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
    cause: Cause | None
    """Why it failed; None where it has not."""


@page(router, "/batches", template="batches/page.html", partial="batches/_batches.html")
def batches(
    session: DbSession,
    settings: AppSettings,
    *,
    by: Annotated[str, Query(max_length=LONGEST_NAME, description="The account that has queued them")] = "",
    after: str | None = None,
    before: str | None = None,
) -> BatchesPage:
    """What has been queued, newest first."""
    found = batches_page(session, size=settings.page_size, by=by or None, after=after or None, before=before or None)
    return BatchesPage(
        batches=found.rows,
        by=by or None,
        here=address_with("/batches", by=by, after=after, before=before),
        previous=address_with("/batches", by=by, before=found.previous) if found.previous is not None else None,
        next=address_with("/batches", by=by, after=found.next) if found.next is not None else None,
        workers=worker_count(session),
    )


@page(router, "/batches/{batch_id}", template="batches/batch.html", partial="batches/_progress.html")
def batch(
    session: DbSession,
    settings: AppSettings,
    batch_id: IdInPath,
    asked: Annotated[RunsAsked, Depends(asked_runs)],
    *,
    after: str | None = None,
    before: str | None = None,
) -> BatchesBatch:
    """A batch's progress, what its runs have changed, and the runs with errors and new explanations."""
    summary = batch_summary(session, batch_id=batch_id)
    found = runs_page(
        session,
        batch_id=batch_id,
        size=settings.page_size,
        listed=asked.status or asked.order(batch_id),
        after=after or None,
        before=before or None,
    )
    address, workers = f"/batches/{batch_id}", worker_count(session)
    return BatchesBatch(
        batch=summary,
        address=address,
        here=asked.address(address, after=after, before=before),
        seconds_left=_seconds_left(summary) if workers.alive and not workers.pauses else None,
        workers=workers,
        tabs=_tabs(summary, asked, address),
        order=_turned(summary, asked, address),
        direction=_direction(asked),
        causes=failure_causes(session, batch_id=batch_id) if summary.n_failed else (),
        runs=found.rows,
        previous=asked.address(address, before=found.previous) if found.previous is not None else None,
        next=asked.address(address, after=found.next) if found.next is not None else None,
    )


@router.post("/batches/{batch_id}/cancel", include_in_schema=False)
def cancel_batch(session: DbSession, viewer: MayCancel, batch_id: IdInPath) -> Response:
    """Cancel the runs of a batch that have not ended."""
    jobs.cancel_batch(session, batch_id=batch_id, account_id=viewer.id)
    return RedirectResponse(f"/batches/{batch_id}", status_code=303)


@page(router, "/runs/{run_id}", template="batches/run.html", partial="batches/_run.html")
def run(session: DbSession, run_id: IdInPath) -> BatchesRun:
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
        cause=cause_of(shown.error) if shown.status in FAILED else None,
    )


@router.post("/runs/{run_id}/cancel", include_in_schema=False)
def cancel_run(session: DbSession, viewer: MayCancel, run_id: IdInPath) -> Response:
    """Cancel a run that has not ended."""
    jobs.cancel_run(session, run_id=run_id, account_id=viewer.id)
    return RedirectResponse(f"/runs/{run_id}", status_code=303)


@router.post("/runs/{run_id}/retry", include_in_schema=False)
def retry_run(session: DbSession, viewer: MayQueue, run_id: IdInPath) -> Response:
    """Queue a run again that has ended without a result."""
    jobs.retry_run(session, run_id=run_id, account_id=viewer.id)
    return RedirectResponse(f"/runs/{run_id}", status_code=303)


def _tabs(summary: BatchSummary, asked: RunsAsked, address: str) -> tuple[RunsTab, ...]:
    """All runs, those of each change, and those of each status in which there is nothing to compare."""
    found = [RunsTab("all", summary.n_runs, address, asked.change is None and asked.status is None)]
    for change, number in summary.changes.counts.items():
        if number or asked.change is change:
            link = RunsAsked(change=change).address(address)
            found.append(RunsTab(change.label, number, link, asked.change is change))
    for status, number in summary.counts.items():
        if status is not WorkStatus.SUCCEEDED and (number or asked.status is status):
            link, label = RunsAsked(status).address(address), status.value.replace("_", " ")
            found.append(RunsTab(label, number, link, asked.status is status))
    return tuple(found)


def _direction(asked: RunsAsked) -> Literal["ascending", "descending"] | None:
    order = asked.order(0)
    if order is None or not order.has_difference:
        return None
    return "descending" if order.best_first else "ascending"


def _turned(summary: BatchSummary, asked: RunsAsked, address: str) -> str | None:
    compared = sum(summary.changes.counts[change] for change in (Change.BETTER, Change.SAME, Change.WORSE))
    if not compared or asked.change in (Change.FIRST, Change.UNCLEAR):
        return None
    sort = RunsOrder.WORST if _direction(asked) == "descending" else RunsOrder.BEST
    return RunsAsked(change=asked.change, sort=sort).address(address)


def _seconds_left(summary: BatchSummary) -> float | None:
    if summary.state is not BatchState.RUNNING or summary.n_ended < ENOUGH_TO_GUESS:
        return None
    elapsed = (datetime.now(UTC) - summary.created_at).total_seconds()
    return elapsed / summary.n_ended * summary.n_active
