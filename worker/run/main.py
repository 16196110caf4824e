"""The worker process: slots that do leased work, the engine that gives them turns, a main thread that renews leases.

Only the main thread receives signals. It renews leases, reports the process to the database, and stops at SIGTERM or
SIGINT.
"""

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, TypeAlias

import structlog
from sqlalchemy.orm import Session
from threadpoolctl import threadpool_limits

from app.db import Limits, Sessions, make_sessions, transaction
from app.domain.work import Lane
from app.queries.work.workers import WorkerReport, register_worker, see_worker, stop_worker
from app.schema import open_installation
from app.settings import Settings
from app.work.engine import TIDYING, UPKEEP
from app.work.lease import release, renew_leases
from worker.run.engine import EngineThread
from worker.run.held import Handlers, HeldWork
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.outages import ignoring_outages, through_outages
from worker.run.slots import Slots
from worker.run.upkeep import Upkeep

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STOPPED = 0
BROKEN = 1
STALLED = 75
TICK_SECONDS = 0.5
ENGINE_SECONDS = 5.0
"""Seconds for which the engine may take to end; after that, others notice its death by the missing heartbeat."""
MakeHandlers: TypeAlias = Callable[[Settings, Sessions], Handlers]


def main(settings: Settings, *, make_handlers: MakeHandlers | None = None) -> int:
    """Do leased work until a signal; returns the exit code. ``make_handlers``, if given, replaces all handlers."""
    # A run's matrices are small: several threads would only compete with each other and with other workers.
    # torch, imported later, keeps its own number of threads.
    threadpool_limits(limits=1, user_api="blas")
    # a worker that freezes in a transaction may hold its locks as long as its lease
    limits = Limits(pool_size=settings.concurrency + 3, idle_seconds=settings.lease_seconds)
    engine = open_installation(settings, limits=limits)
    try:
        sessions = make_sessions(engine)
        if make_handlers is not None:
            return WorkerProcess(settings, sessions, make_handlers(settings, sessions)).run()
        return _with_all_handlers(settings, sessions).run()
    finally:
        engine.dispose()


def _with_all_handlers(settings: Settings, sessions: Sessions) -> "WorkerProcess":
    from worker.run.handlers import make_handlers  # its libraries take longer to import than everything else
    from worker.run.services import WorkerServices

    services = WorkerServices(settings, sessions)
    return WorkerProcess(settings, sessions, make_handlers(services), device=lambda: services.device)


def processor() -> str:
    """The device of a worker without a model."""
    return "cpu"


class WorkerProcess:
    """One process: ``concurrency`` slots for runs, one for each other lane, and the engine that gives them turns."""

    def __init__(
        self, settings: Settings, sessions: Sessions, handlers: Handlers, *, device: Callable[[], str] = processor
    ) -> None:
        """``device`` returns the device of the worker's models, as pages show it."""
        self._settings = settings
        self._sessions = sessions
        self._device = device
        self._id = uuid.uuid4()
        self._stop = threading.Event()
        self._give_up = threading.Event()
        context = WorkerContext(settings, sessions, handlers, self._id, stop=self._stop, give_up=self._give_up)
        n_slots = {Lane.RUNS: settings.concurrency, Lane.INTERACTIVE: 1, Lane.BACKGROUND: 1}
        loops = {lane: [WorkLoop(context, lane) for _ in range(n)] for lane, n in n_slots.items()}
        self._loops = [loop for of_lane in loops.values() for loop in of_lane]
        upkeep = Upkeep(settings, sessions)
        self._lanes: dict[str, Slots] = {
            lane: Slots(lane, [loop.turn for loop in of_lane]) for lane, of_lane in loops.items()
        }
        self._slots: dict[str, Slots] = {
            **self._lanes,
            UPKEEP: Slots(UPKEEP, [upkeep.look]),
            TIDYING: Slots(TIDYING, [upkeep.tidy]),
        }
        with sessions() as session:
            database = session.get_bind().engine
        self._engine = EngineThread(database, self._slots, settings)
        self._renew_at = 0.0

    def run(self) -> int:
        """Work until a signal; returns the exit code."""
        with _signals(self._on_signal):
            with ignoring_outages("worker.not_registered"):
                through_outages(partial(self._in_transaction, self._register), stop=self._stop)
            log.info("worker.started", worker_id=str(self._id), pid=os.getpid())
            for slots in self._slots.values():
                slots.start()
            self._engine.start()
            code = self._keep()
            self._wind_down()
        log.info("worker.stopped", n_finished=self._n_finished)
        return code

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            self._give_up.set()  # the second signal: release what is held
        self._stop.set()

    def _keep(self) -> int:
        """Watch the slots and do periodic work until a stop or a broken slot. Returns the exit code."""
        while not self._stop.wait(self._tick):
            if not all(thread.is_alive() for thread in [self._engine.thread, *self._threads(self._slots)]):
                log.error("worker.thread_died")
                self._stop.set()
                return BROKEN
            if any(held.silent_seconds > self._settings.stall_seconds for held in self._held):
                log.error("worker.stalled", doing=self._doing)
                self._give_up.set()
                return STALLED
            self._keep_leases()
        return STOPPED

    @staticmethod
    def _threads(slots: Mapping[str, Slots]) -> list[threading.Thread]:
        return [thread for of_queue in slots.values() for thread in of_queue.threads]

    @property
    def _tick(self) -> float:
        return min(TICK_SECONDS, self._settings.renew_seconds / 2)

    @property
    def _held(self) -> list[HeldWork[Any]]:
        return [held for loop in self._loops if (held := loop.held) is not None]

    @property
    def _doing(self) -> str:
        return ", ".join(held.doing for held in self._held) or "idle"

    @property
    def _n_finished(self) -> int:
        return sum(loop.n_finished for loop in self._loops)

    def _keep_leases(self) -> None:
        """Renew the leases that are due. In an outage they are renewed the next time."""
        now = time.monotonic()
        if now >= self._renew_at:
            self._renew_at = now + self._settings.renew_seconds
            with ignoring_outages("worker.leases_not_renewed"):
                self._in_transaction(self._renew)

    def _in_transaction(self, action: Callable[[Session], None]) -> None:
        with transaction(self._sessions) as session:
            action(session)

    def _register(self, session: Session) -> None:
        register_worker(session, worker_id=self._id, host=socket.gethostname(), pid=os.getpid(), device=self._device())

    def _renew(self, session: Session) -> None:
        held = self._held
        report = WorkerReport(self._doing, self._n_finished, self._device())
        see_worker(session, worker_id=self._id, report=report)
        if held:
            leases = [h.lease for h in held]
            still = renew_leases(session, leases=leases, lease_seconds=self._settings.lease_seconds)
            for h in held:
                h.lost = h.lost or h.lease.token not in still

    def _wind_down(self) -> None:
        """Let the slots finish their work, at most ``stop_seconds``; release the rest."""
        self._engine.stop()
        for slots in self._slots.values():
            slots.close()
        deadline = time.monotonic() + self._settings.stop_seconds
        while alive := [thread for thread in self._threads(self._lanes) if thread.is_alive()]:
            if time.monotonic() > deadline or self._give_up.is_set():
                break
            alive[0].join(self._tick)
            self._keep_leases()
        self._give_up.set()
        for loop, thread in zip(self._loops, self._threads(self._lanes), strict=True):
            held = loop.held
            if held is None or not thread.is_alive():
                continue
            # An error in its thread while the process ends is no failure of the work.
            held.lost = True
            # A stalled worker counts as crashed: its lease expires.
            if held.silent_seconds <= self._settings.stall_seconds:
                self._release(held)
        with ignoring_outages("worker.not_stopped"):
            self._in_transaction(partial(stop_worker, worker_id=self._id, n_finished=self._n_finished))
        self._engine.thread.join(ENGINE_SECONDS)

    def _release(self, held: HeldWork[Any]) -> None:
        log.warning("work.released", kind=held.lease.kind, work_id=held.lease.id)
        with ignoring_outages("work.not_released"), transaction(self._sessions) as session:
            release(session, lease=held.lease)


@contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Send SIGTERM and SIGINT to ``handler`` while the block runs."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
