"""A run that this process holds: its lease, and the sign that the work on it moves on."""

import time

from app.db import Sessions, transaction
from app.queries.runs.lease import RunLease, store_progress
from worker.run.outages import ignoring_outages


class LeaseLost(Exception):
    """The run is no longer this worker's: it was cancelled, or another worker took it over."""


class HeldRun:
    """One run between its beginning and its end. The work's thread reports, the main thread renews."""

    def __init__(self, lease: RunLease, sessions: Sessions, *, progress_seconds: float) -> None:
        self.lease = lease
        self.lost = False
        """Set where the fence is known to be closed: the next report tells the work."""
        self.doing = f"run {lease.run_id}"
        self._sessions = sessions
        self._progress_seconds = progress_seconds
        self._reported = self._stored = time.monotonic()

    def report(self, stage: str, progress: float) -> None:
        """Note that the work has come to ``stage``, ``progress`` 0..1 of the whole.

        Kept in the run's row at most every ``progress_seconds``. Raises LeaseLost.
        """
        self.live()
        if self._reported - self._stored >= self._progress_seconds and not self.lost:
            self._stored = self._reported
            with ignoring_outages("progress.not_stored"), transaction(self._sessions) as session:
                self.lost = not store_progress(session, lease=self.lease, stage=stage, progress=progress)
        if self.lost:
            raise LeaseLost

    def live(self) -> None:
        """Note a sign of life that is no progress."""
        self._reported = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """Time since the last report or sign of life."""
        return time.monotonic() - self._reported
