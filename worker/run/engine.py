"""The queue engine's thread of a worker process: it wakes slots."""

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress

import procrastinate
import psycopg
import structlog
from procrastinate.exceptions import AppNotOpen, ConnectorException
from procrastinate.jobs import Status
from sqlalchemy import Engine

from app.domain.work import Lane
from app.settings import Settings
from app.work.engine import TIDYING, TURN, UPKEEP
from worker.run.outages import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, reason
from worker.run.slots import Slots

log: structlog.stdlib.BoundLogger = structlog.get_logger()

GRACEFUL_SECONDS = 1.0
"""Seconds for which a stopping engine waits for its jobs. These are turns; slots finish their work anyway."""
TIDYING_CRON = "0 * * * *"
POOL_SECONDS = 10.0


class EngineStopped(Exception):
    """A worker of the engine has ended by itself, as it does when the database is lost."""


class EngineThread:
    """Runs the engine's workers until stopped, and starts them again after an outage.

    Each lane has its own engine worker, which takes as many jobs at a time as there are slots. A job without a free
    slot stays in the queue, for other processes.
    """

    def __init__(self, database: Engine, slots: Mapping[str, Slots], settings: Settings) -> None:
        """``slots`` by queue. Each queue gets a turn every ``look_seconds``, in only one of all processes."""
        self._slots, self._settings = slots, settings
        self._look_cron = f"* * * * * */{settings.look_seconds}"
        _, self._connect_arguments = database.dialect.create_connect_args(database.url)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._supervision: asyncio.Task[None] | None = None
        self.thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread, which then connects by itself."""
        self.thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Give no more turns. The thread ends soon after."""
        if self._loop is not None and self._supervision is not None:
            with suppress(RuntimeError):  # the thread has already ended
                self._loop.call_soon_threadsafe(self._supervision.cancel)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._supervise())

    async def _supervise(self) -> None:
        self._loop, self._supervision = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        wait = FIRST_WAIT_SECONDS
        while True:
            connector = procrastinate.PsycopgConnector(
                kwargs=self._connect_arguments, min_size=1, max_size=4, timeout=POOL_SECONDS
            )
            lanes, others = self._lanes(connector), self._upkeep(connector)
            try:
                async with lanes.open_async():
                    wait = FIRST_WAIT_SECONDS
                    await self._serve(lanes, others)
            except (EngineStopped, AppNotOpen, ConnectorException, psycopg.Error) as error:
                log.warning("engine.away", reason=reason(error.__cause__ or error), wait_seconds=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def _serve(self, lanes: procrastinate.App, others: procrastinate.App) -> None:
        """Run the engine's workers until one of them ends. Raises its error, or EngineStopped."""
        workers = [
            asyncio.ensure_future(self._worker(lanes, [lane], len(self._slots[lane].threads), listens=True))
            for lane in Lane
        ]
        workers.append(asyncio.ensure_future(self._worker(others, [UPKEEP, TIDYING], 1, listens=False)))
        try:
            ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for worker in ended:
            worker.result()
        raise EngineStopped

    async def _worker(self, app: procrastinate.App, queues: list[str], concurrency: int, *, listens: bool) -> None:
        await app.run_worker_async(
            queues=queues,
            concurrency=concurrency,
            listen_notify=listens,
            delete_jobs="always",
            install_signal_handlers=False,
            shutdown_graceful_timeout=GRACEFUL_SECONDS,
            update_heartbeat_interval=self._settings.renew_seconds,
            stalled_worker_timeout=self._settings.lease_seconds,
        )

    def _lanes(self, connector: procrastinate.PsycopgConnector) -> procrastinate.App:
        """The engine's application for the workers of lanes."""
        app = procrastinate.App(connector=connector)
        app.task(name=TURN, pass_context=True)(self._turn)
        return app

    def _upkeep(self, connector: procrastinate.PsycopgConnector) -> procrastinate.App:
        """The engine's application for the upkeep worker, the only one that starts periodic jobs.

        The database lets only one of all processes start each of them.
        """
        app = self._lanes(connector)
        turn = app.tasks[TURN]
        for queue in self._slots:
            app.periodic(
                cron=TIDYING_CRON if queue == TIDYING else self._look_cron,
                periodic_id=queue,
                queue=queue,
                queueing_lock=queue,  # one waiting job is enough
            )(turn)

        @app.periodic(cron=self._look_cron)
        @app.task(name="delete_stalled_jobs", queue=UPKEEP, queueing_lock="delete_stalled_jobs")
        async def delete_stalled_jobs(timestamp: int) -> None:
            """Delete jobs of killed workers. Their work is in this program's own rows, which the next look finds."""
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=self._settings.lease_seconds):
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)

        return app

    async def _turn(self, context: procrastinate.JobContext, /, **_: int) -> None:
        """The engine's task. Periodic tasks get a ``timestamp``."""
        await self._slots[context.job.queue].turn()
