"""Leased work in this process: the progress that its handler reports, and the result that it returns."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.work.lease import Lease, store_progress
from worker.run.outages import ignoring_outages, through_outages

L = TypeVar("L", bound=Lease)
T = TypeVar("T")


class LeaseLost(Exception):
    """The work is no longer this worker's: it was cancelled, or another worker took it over."""


@dataclass(frozen=True, slots=True)
class Done:
    """A handler's result. Both parts are stored in the transaction that ends the work, behind the fence."""

    result: Mapping[str, Any] | None = None
    """JSON values to store with a task."""
    store: Callable[[Session], None] | None = None
    """Function that writes results which are rows of their own."""


class HeldWork(Generic[L]):
    """One piece of work from beginning to end. Its thread reports progress; the main thread renews the lease."""

    def __init__(self, lease: L, sessions: Sessions, *, progress_seconds: float, give_up: Event) -> None:
        self.lease = lease
        self.lost = False
        """Set once the lease is known to be lost: the next report raises."""
        self.doing = f"{lease.kind} {lease.id}"
        """The stage, as pages show it."""
        self._sessions = sessions
        self._progress_seconds = progress_seconds
        self._give_up = give_up
        self._reported = self._stored = time.monotonic()

    def report(self, stage: str, progress: float) -> None:
        """Record that the work has reached ``stage``, at ``progress`` 0..1 of the whole.

        Stored at most every ``progress_seconds``. Raises LeaseLost.
        """
        self.live()
        if self._reported - self._stored >= self._progress_seconds and not self.lost:
            self._stored = self._reported
            with ignoring_outages("progress.not_stored"), transaction(self._sessions) as session:
                self.lost = not store_progress(session, lease=self.lease, stage=stage, progress=progress)
        if self.lost:
            raise LeaseLost

    def live(self) -> None:
        """Record a sign of life without progress."""
        self._reported = time.monotonic()

    def through_outages(self, action: Callable[[], T]) -> T:
        """The return value of ``action``, a whole transaction that is repeated until the database can be reached.

        Each attempt is a sign of life, so that waiting for the database does not count as a stall.
        """

        def attempt() -> T:
            self.live()
            return action()

        return through_outages(attempt, stop=self._give_up)

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last report or sign of life."""
        return time.monotonic() - self._reported


Handler: TypeAlias = Callable[[HeldWork[Any]], Done]
"""Does one piece of work of its kind.

A DomainError ends the work as failed, a temporary ProviderError pauses the provider, an outage of the database puts the
work back; any other error is a failed attempt.
"""
Handlers: TypeAlias = Mapping[str, Handler]
"""The handler of each kind."""
