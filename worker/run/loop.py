"""The loop of one slot: take work of the slot's lane, call its handler, store the result, until there is none."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Event
from typing import Any, TypeAlias

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.work import KINDS, Lane
from app.errors import DomainError, NoExplanation, ProviderError
from app.queries.work.pauses import end_pause, pause_provider
from app.settings import Settings
from app.work.begin import Taker, begin_run, begin_task
from app.work.engine import wake_workers
from app.work.lease import Lease, RunLease, end_without_explanation, fail, find_lease, finish, release, retry_later
from worker.run.held import Done, Handlers, HeldWork, LeaseLost
from worker.run.outages import ignoring_outages, is_outage, reason, through_outages

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LONGEST_RETRY_SECONDS = 300.0

Ending: TypeAlias = Callable[[Session], bool]
"""Function that ends the work in one transaction behind the fence. Returns False if the lease is lost."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What the slots of one worker process share.

    ``stop``: take no new work. ``give_up``: the time to finish is over, stop waiting.
    """

    settings: Settings
    sessions: Sessions
    handlers: Handlers
    worker_id: uuid.UUID
    stop: Event
    give_up: Event


class WorkLoop:
    """Does one piece of work at a time. ``held`` is the present one, ``n_finished`` counts stored results."""

    def __init__(self, context: WorkerContext, lane: Lane) -> None:
        self._settings, self._sessions = context.settings, context.sessions
        self._context, self._lane = context, lane
        self.held: HeldWork[Any] | None = None
        self.n_finished = 0

    def turn(self) -> None:
        """Do work until none is left or the process stops."""
        wakes_next = True
        while not self._context.stop.is_set() and self.run_one(wakes_next=wakes_next):
            wakes_next = False

    def run_one(self, *, wakes_next: bool = False) -> bool:
        """Take one piece of work and end it; returns whether there was one.

        With ``wakes_next``, another slot is woken if this one finds work, since there may be more.
        """
        with ignoring_outages("worker.told_to_stop"):
            lease = self._take(wakes_next)
            if lease is None:
                return False
            self.held = HeldWork(
                lease,
                self._sessions,
                progress_seconds=self._settings.progress_seconds,
                give_up=self._context.give_up,
            )
            with structlog.contextvars.bound_contextvars(kind=lease.kind, work_id=lease.id):
                self._work_on(self.held)
        self.held = None
        return True

    def _take(self, wakes_next: bool) -> Lease | None:
        """Take a lease, repeating through outages: a lease whose commit succeeded without a reply is found again."""
        taker = Taker(self._context.worker_id, uuid.uuid4(), self._settings.lease_seconds)
        tries = count()

        def action() -> Lease | None:
            with transaction(self._sessions) as session:
                found = find_lease(session, token=taker.token) if next(tries) else None
                if found is not None:
                    return found
                lease = self._begin(session, taker)
                if wakes_next and lease is not None:
                    wake_workers(session, lane=self._lane)
                return lease

        return through_outages(action, stop=self._context.stop)

    def _begin(self, session: Session, taker: Taker) -> Lease | None:
        if self._lane is Lane.RUNS:
            return begin_run(session, taker=taker)
        return begin_task(session, taker=taker, lane=self._lane, kinds=self._context.handlers)

    def _work_on(self, held: HeldWork[Any]) -> None:
        """Do the work and end it. Results under a lost lease are dropped."""
        try:
            try:
                done = self._context.handlers[held.lease.kind](held)
                self._commit(held, partial(_success, lease=held.lease, done=done))
                self.n_finished += 1
            except LeaseLost:
                raise
            except Exception as error:
                if held.lost:
                    raise LeaseLost from error
                self._commit(held, self._ending(held.lease, error))
        except LeaseLost:
            log.warning("work.refused", reason="the lease is lost: what was done for it is dropped")

    def _commit(self, held: HeldWork[Any], ending: Ending) -> None:
        """End the work, repeating through outages. Raises LeaseLost, also if the first commit had succeeded."""

        def action() -> None:
            with transaction(self._sessions) as session:
                if not ending(session):
                    raise LeaseLost

        held.through_outages(action)

    def _ending(self, lease: Lease, error: Exception) -> Ending:
        """How to end work that raised an error."""
        passes = isinstance(error, ProviderError) and not error.permanent
        if passes and lease.provider is not None:
            return partial(self._pause, lease=lease, provider=lease.provider, cause=reason(error))
        if isinstance(error, NoExplanation) and isinstance(lease, RunLease):
            return partial(end_without_explanation, lease=lease, reason=reason(error))
        if isinstance(error, DomainError) and not passes:
            return partial(fail, lease=lease, error=reason(error))
        if isinstance(error, DBAPIError) and is_outage(error):
            return partial(release, lease=lease)
        log.warning("work.attempt_failed", attempt=lease.attempt + 1, exc_info=error)
        kind = KINDS.get(lease.kind)
        most = None if kind is None else kind.max_attempts
        return partial(
            retry_later,
            lease=lease,
            error=f"{type(error).__name__}: {reason(error)}",
            delay_seconds=min(LONGEST_RETRY_SECONDS, self._settings.retry_seconds * 2.0**lease.attempt),
            max_attempts=most or self._settings.max_attempts,
        )

    def _pause(self, session: Session, *, lease: Lease, provider: str, cause: str) -> bool:
        """Handle an outage of a provider: all work that needs it waits, and no attempt is counted."""
        if not release(session, lease=lease):
            return False
        log.warning("provider.paused", provider=provider, reason=cause)
        pause_provider(
            session,
            provider=provider,
            reason=cause,
            base_seconds=self._settings.pause_seconds,
            limit_seconds=self._settings.longest_pause_seconds,
        )
        return True


def _success(session: Session, *, lease: Lease, done: Done) -> bool:
    if not finish(session, lease=lease, result=done.result):
        return False
    if done.store is not None:
        done.store(session)
    if lease.provider is not None:
        end_pause(session, provider=lease.provider)
    return True
