"""The loop of one worker thread: take a run, do its work, settle it, until told to stop."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Event
from typing import TypeAlias, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.errors import Conflict, DomainError, ProviderError
from app.queries.runs.lease import RunLease, begin_run, fail_run, find_lease, release_run, retry_later
from app.queries.runs.pauses import pause_queue
from app.settings import Settings
from worker.run.lease import HeldRun, LeaseLost
from worker.run.outages import ignoring_outages, is_outage, reason, through_outages
from worker.run.tasks import Workbench, store_results, work_on

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

CONTENDED_SECONDS = 0.02
LONGEST_RETRY_SECONDS = 300.0

Ending: TypeAlias = Callable[[Session], bool]
"""How a run ends, in one transaction behind the fence. False where its lease is lost."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the threads of one worker process share.

    ``stop``: take nothing new. ``give_up``: the time to finish is over, wait for nothing any more.
    """

    settings: Settings
    sessions: Sessions
    workbench: Workbench
    worker_id: uuid.UUID
    stop: Event
    give_up: Event


class RunLoop:
    """Works on one run at a time. ``held`` is the run in hand, ``n_finished`` counts results stored."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._settings = surroundings.settings
        self._sessions = surroundings.sessions
        self._workbench = surroundings.workbench
        self._worker_id = surroundings.worker_id
        self._stop = surroundings.stop
        self._give_up = surroundings.give_up
        self.held: HeldRun | None = None
        self.n_finished = 0

    def run(self) -> None:
        """Take runs and end them until told to stop."""
        while not self._stop.is_set():
            try:
                if not self.run_one():
                    self._stop.wait(self._settings.poll_seconds)
            except Conflict:
                self._stop.wait(CONTENDED_SECONDS)

    def run_one(self) -> bool:
        """Take one run and end it; answers whether there was one. Raises Conflict where somebody is changing it."""
        with ignoring_outages("worker.told_to_stop"):
            lease = self._take()
            if lease is None:
                return False
            self.held = HeldRun(lease, self._sessions, progress_seconds=self._settings.progress_seconds)
            with structlog.contextvars.bound_contextvars(run_id=lease.run_id):
                self._work_on(self.held)
        self.held = None
        return True

    def _take(self) -> RunLease | None:
        """A run's lease, through outages: a commit that held although its answer was lost is found again."""
        token = uuid.uuid4()
        tries = count()

        def action() -> RunLease | None:
            with transaction(self._sessions) as session:
                found = find_lease(session, token=token) if next(tries) else None
                return found or begin_run(
                    session, worker_id=self._worker_id, token=token, lease_seconds=self._settings.lease_seconds
                )

        return through_outages(action, stop=self._stop)

    def _work_on(self, held: HeldRun) -> None:
        """Do the run's work and end it. What is done under a lost lease is dropped."""
        try:
            try:
                self._succeed(held)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 - the worker's outermost: what a method raises is its run's error
                self._commit(held, self._ending(held.lease, error))
        except LeaseLost:
            log.warning("run.refused", reason="the lease is lost: what was done for it is dropped")

    def _succeed(self, held: HeldRun) -> None:
        prepared = self._through_outages(held, lambda: self._workbench.prepare(held.lease))
        held.doing = f"{prepared.neuron.subject} {prepared.neuron.layer}/{prepared.neuron.index}"
        results = work_on(prepared, held.report)
        self._commit(held, partial(store_results, lease=held.lease, prepared=prepared, results=results))
        self.n_finished += 1

    def _through_outages(self, held: HeldRun, action: Callable[[], T]) -> T:
        """What ``action`` answers. To wait for the database is no stall: each attempt is a sign of life."""

        def attempt() -> T:
            held.live()
            return action()

        return through_outages(attempt, stop=self._give_up)

    def _commit(self, held: HeldRun, ending: Ending) -> None:
        """End a run, through outages. Raises LeaseLost, also where a repetition finds that the first time held."""

        def action() -> None:
            with transaction(self._sessions) as session:
                if not ending(session):
                    raise LeaseLost

        self._through_outages(held, action)

    def _ending(self, lease: RunLease, error: Exception) -> Ending:
        """How a run ends whose work has raised."""
        if isinstance(error, ProviderError) and not error.permanent:
            return self._pause(lease, reason(error))
        if isinstance(error, DomainError):
            return partial(fail_run, lease=lease, error=reason(error))
        if isinstance(error, DBAPIError) and is_outage(error):
            return partial(release_run, lease=lease)
        log.warning("run.attempt_failed", attempt=lease.attempt + 1, exc_info=error)
        return partial(
            retry_later,
            lease=lease,
            error=f"{type(error).__name__}: {reason(error)}",
            delay_seconds=min(LONGEST_RETRY_SECONDS, self._settings.retry_seconds * 2.0**lease.attempt),
            max_attempts=self._settings.max_attempts,
        )

    def _pause(self, lease: RunLease, cause: str) -> Ending:
        """An outage of a provider: the run waits with its whole queue, and no attempt is counted."""
        log.warning("queue.paused", queue=lease.queue, reason=cause)

        def ending(session: Session) -> bool:
            released = release_run(session, lease=lease)
            if released:
                pause_queue(
                    session,
                    queue=lease.queue,
                    reason=cause,
                    base_seconds=self._settings.pause_seconds,
                    limit_seconds=self._settings.longest_pause_seconds,
                )
            return released

        return ending
