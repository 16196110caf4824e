"""The worker process: threads that work on runs, and a main thread that keeps their leases.

The main thread alone gets signals. It renews leases, looks for expired ones, shows the process to the
pages, and stops it at SIGTERM or SIGINT.
"""

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.orm import Session
from threadpoolctl import threadpool_limits

from app.db import Limits, Sessions, make_sessions, transaction
from app.queries.runs.lease import reap_expired, release_run, renew_leases
from app.queries.runs.transport import delete_old_jobs
from app.queries.runs.trials import delete_old_trials
from app.queries.runs.workers import delete_old_workers, register_worker, see_worker, stop_worker, try_housekeeping
from app.schema import open_installation
from app.settings import Settings
from worker.run.lease import HeldRun
from worker.run.loop import RunLoop, Surroundings
from worker.run.outages import ignoring_outages, through_outages
from worker.run.tasks import BuildWork, Workbench
from worker.run.trials import FindSubject, TrialLoop

if TYPE_CHECKING:
    from worker.run.services import MethodBuilder

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STOPPED = 0
BROKEN = 1
STALLED = 75
TIDY_SECONDS = 3600.0
TICK_SECONDS = 0.5
KEEP_TRIALS_HOURS = 24


def main(settings: Settings, *, build: BuildWork | None = None) -> int:
    """Work on runs until a signal; answers the exit code. ``build`` turns a method's definition into work.

    Without it methods get the language models and the subjects that they name.
    """
    # A run's matrices are small: more threads than one spin for each other, and for those of other workers.
    # torch, which loads later, keeps its own.
    threadpool_limits(limits=1, user_api="blas")
    # A worker that freezes in a transaction may hold its locks as long as its lease.
    limits = Limits(pool_size=settings.concurrency + 1, idle_seconds=settings.lease_seconds)
    engine = open_installation(settings, limits=limits)
    try:
        sessions = make_sessions(engine)
        if build is not None:
            return WorkerProcess(settings, sessions, build).run()
        builder = _builder(sessions, settings)
        return WorkerProcess(settings, sessions, builder, subjects=builder.live_subject).run()
    finally:
        engine.dispose()


def _builder(sessions: Sessions, settings: Settings) -> "MethodBuilder":
    from worker.run.services import MethodBuilder  # its libraries take longer to import than all the rest

    return MethodBuilder(sessions, settings)


class WorkerProcess:
    """One process: ``concurrency`` loops, each in a thread of its own, and what keeps them."""

    def __init__(
        self, settings: Settings, sessions: Sessions, build: BuildWork, *, subjects: FindSubject | None = None
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._id = uuid.uuid4()
        self._stop = threading.Event()
        self._give_up = threading.Event()
        surroundings = Surroundings(
            settings, sessions, Workbench(sessions, build), self._id, stop=self._stop, give_up=self._give_up
        )
        self._loops = [RunLoop(surroundings) for _ in range(settings.concurrency)]
        self._threads = [threading.Thread(target=loop.run, daemon=True) for loop in self._loops]
        self._trials = None if subjects is None else TrialLoop(sessions, subjects, stop=self._stop)
        self._due: dict[Callable[[Session], None], float] = {}

    def run(self) -> int:
        """Work until a signal; answers the exit code."""
        with _signals(self._on_signal):
            with ignoring_outages("worker.not_registered"):
                through_outages(partial(self._in_transaction, self._register), stop=self._stop)
            log.info("worker.started", worker_id=str(self._id), pid=os.getpid())
            for thread in self._threads:
                thread.start()
            if self._trials is not None:
                threading.Thread(target=self._trials.run, args=[self._sessions.kw["bind"]], daemon=True).start()
            code = self._keep()
            self._wind_down()
        log.info("worker.stopped", n_finished=self._n_finished)
        return code

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            self._give_up.set()  # asked twice: release what is held
        self._stop.set()

    def _keep(self) -> int:
        """What the main thread does while the others work; ends when told to stop, or with what is wrong."""
        while not self._stop.wait(self._tick):
            if not all(thread.is_alive() for thread in self._threads):
                log.error("worker.thread_died")
                self._stop.set()
                return BROKEN
            if any(held.silent_seconds > self._settings.stall_seconds for held in self._held):
                log.error("worker.stalled", doing=self._doing)
                self._give_up.set()
                return STALLED
            self._do_what_is_due()
        return STOPPED

    @property
    def _tick(self) -> float:
        return min(TICK_SECONDS, self._settings.renew_seconds / 2, self._settings.reap_seconds)

    @property
    def _held(self) -> list[HeldRun]:
        return [held for loop in self._loops if (held := loop.held) is not None]

    @property
    def _doing(self) -> str:
        return ", ".join(held.doing for held in self._held) or "idle"

    @property
    def _n_finished(self) -> int:
        return sum(loop.n_finished for loop in self._loops)

    def _do_what_is_due(self) -> None:
        """Each duty at its own pace. One that meets an outage is tried again at its next turn."""
        paces = (
            (self._renew, self._settings.renew_seconds),
            (self._reap, self._settings.reap_seconds),
            (self._tidy, TIDY_SECONDS),
        )
        for duty, pace in paces:
            now = time.monotonic()
            if now >= self._due.get(duty, 0.0):
                self._due[duty] = now + pace
                with ignoring_outages("worker.duty_missed"):
                    self._in_transaction(duty)

    def _in_transaction(self, action: Callable[[Session], None]) -> None:
        with transaction(self._sessions) as session:
            action(session)

    def _register(self, session: Session) -> None:
        register_worker(
            session, worker_id=self._id, host=socket.gethostname(), pid=os.getpid(), device=self._settings.device
        )

    def _renew(self, session: Session) -> None:
        held = self._held
        see_worker(session, worker_id=self._id, doing=self._doing, n_finished=self._n_finished)
        if held:
            leases = [h.lease for h in held]
            still = renew_leases(session, leases=leases, lease_seconds=self._settings.lease_seconds)
            for h in held:
                h.lost = h.lost or h.lease.run_id not in still

    def _reap(self, session: Session) -> None:
        reaped = reap_expired(session, lease_seconds=self._settings.lease_seconds, max_deaths=self._settings.max_deaths)
        if reaped.n_requeued or reaped.n_quarantined:
            log.warning("runs.reaped", n_requeued=reaped.n_requeued, n_quarantined=reaped.n_quarantined)

    def _tidy(self, session: Session) -> None:
        if try_housekeeping(session):
            delete_old_jobs(session, hours=self._settings.keep_jobs_hours)
            delete_old_workers(session, hours=self._settings.keep_jobs_hours)
            delete_old_trials(session, hours=KEEP_TRIALS_HOURS)

    def _wind_down(self) -> None:
        """Let the threads finish what they hold, at most ``stop_seconds``; release the rest."""
        deadline = time.monotonic() + self._settings.stop_seconds
        while any(t.is_alive() for t in self._threads) and time.monotonic() < deadline and not self._give_up.is_set():
            self._threads[0].join(self._tick)
            self._do_what_is_due()
        self._give_up.set()
        for loop, thread in zip(self._loops, self._threads, strict=True):
            held = loop.held
            # Whoever stalled or brought down its thread counts as a death: its lease runs out.
            if held is not None and thread.is_alive() and held.silent_seconds <= self._settings.stall_seconds:
                held.lost = True
                self._release(held)
        with ignoring_outages("worker.not_stopped"):
            self._in_transaction(partial(stop_worker, worker_id=self._id, n_finished=self._n_finished))

    def _release(self, held: HeldRun) -> None:
        log.warning("run.released", run_id=held.lease.run_id)
        with ignoring_outages("run.not_released"), transaction(self._sessions) as session:
            release_run(session, lease=held.lease)


@contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """SIGTERM and SIGINT go to ``handler`` while the block runs."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
