"""A database with neurons to queue, and worker processes that are killed, frozen and started again."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select, text

from app.db import Limits, make_engine, make_sessions, transaction
from app.domain.work import ENDED_WITHOUT_RESULT, WorkStatus
from app.models import Run
from app.queries.runs.counts import total_counts
from app.work.enqueue import EnqueuedBatch, enqueue_batch
from app.work.tasks import enqueue_task
from tests.factories import Make
from tests.reliability.run_worker import PRETEND, STORED
from tests.truth import assert_counts_are_true

ROOT = Path(__file__).resolve().parent.parent.parent
GUARD_SECONDS = 600.0
"""Nothing here is a measurement of time: this only ends a test that would never end."""
LOOK_SECONDS = 0.05
FAKE_METHODS = ("-m", "tests.reliability.run_worker")
SHORT_LEASES = {
    "LEASE_SECONDS": "3",
    "RENEW_SECONDS": "0.5",
    "LOOK_SECONDS": "1",
    "PROGRESS_SECONDS": "0.2",
    "STOP_SECONDS": "20",
    "LOG_FORMAT": "json",
}


WORK = "(SELECT status, executions, attempt FROM run UNION ALL SELECT status, executions, attempt FROM task)"
"""Leased work of both tables."""


class Stage:
    """One subject with ``n_neurons`` and one method, on its own database, with runs and tasks of one kind."""

    def __init__(self, url: str, *, n_neurons: int, parameters: dict[str, object] | None = None) -> None:
        self.url = url
        self.engine = make_engine(url, limits=Limits(pool_size=60))
        self.sessions = make_sessions(self.engine)
        with transaction(self.sessions) as session:
            make = Make(session)
            subject = make.subject(n_layers=1, neurons_per_layer=n_neurons)
            method = make.method(name="pretend")
            self.parameters = method.parameters = parameters or {}
            session.flush()
            session.execute(
                text(
                    'INSERT INTO neuron (subject_id, layer, "index", max)'
                    " SELECT :subject, 0, number, 1 FROM generate_series(0, :last) AS number"
                ),
                {"subject": subject.id, "last": n_neurons - 1},
            )
            self.subject_id, self.method_id = subject.id, method.id
        self.neuron_ids: list[int] = self.column('SELECT id FROM neuron ORDER BY "index"')

    def enqueue(self, neuron_ids: Sequence[int] | None = None) -> EnqueuedBatch:
        """Queue these neurons, by default all, in a transaction that commits."""
        with transaction(self.sessions) as session:
            return enqueue_batch(
                session,
                subject_id=self.subject_id,
                neuron_ids=self.neuron_ids if neuron_ids is None else neuron_ids,
                method_id=self.method_id,
                account_id=None,
            )

    def enqueue_tasks(self, n: int, **more: object) -> None:
        """Queue ``n`` tasks that do what the runs do, in a transaction that commits."""
        with transaction(self.sessions) as session:
            for number in range(n):
                enqueue_task(
                    session,
                    kind=PRETEND,
                    title=f"task {number}",
                    account_id=None,
                    parameters={**self.parameters, **more},
                )

    def column(self, statement: str) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.scalars(text(statement)))

    def count(self, statement: str) -> int:
        """The number that a statement returns."""
        return self.column(statement)[0]

    def has_ended(self, n: int) -> bool:
        """Whether at least so many runs and tasks have ended."""
        return self.count(f"SELECT count(*) FROM {WORK} AS work WHERE status NOT IN ('queued', 'running')") >= n

    def counts_by_status(self) -> dict[str, int]:
        """Runs and tasks together."""
        with self.engine.connect() as connection:
            rows = connection.execute(text(f"SELECT status, count(*) AS n FROM {WORK} AS work GROUP BY status"))
            return {row.status: row.n for row in rows}

    def sum_of(self, column: str) -> int:
        """The sum of a column over runs and tasks."""
        return self.count(f"SELECT sum({column})::bigint FROM {WORK} AS work")

    def errors(self) -> set[str]:
        """The different errors of all runs."""
        with self.engine.connect() as connection:
            return set(connection.scalars(text("SELECT error FROM run WHERE error IS NOT NULL")))

    def assert_nothing_is_lost_or_doubled(self) -> None:
        """Nothing is active; what succeeded has one result, nothing else has any; the counts are those of the runs."""
        assert set(self.counts_by_status()) <= {WorkStatus.SUCCEEDED, *ENDED_WITHOUT_RESULT}
        assert self.column("SELECT run_id FROM explanation ORDER BY run_id") == self.column(
            "SELECT id FROM run WHERE status = 'succeeded' ORDER BY id"
        )
        assert self.column(
            f"SELECT (detail->>'task_id')::bigint FROM event WHERE kind = '{STORED}' ORDER BY 1"
        ) == self.column("SELECT id FROM task WHERE status = 'succeeded' ORDER BY id")
        assert self.column("SELECT id FROM task WHERE result IS NOT NULL ORDER BY id") == self.column(
            "SELECT id FROM task WHERE status = 'succeeded' ORDER BY id"
        )
        self.assert_counts_are_right()

    def assert_counts_are_right(self) -> None:
        """Every kept count is what counting finds."""
        with transaction(self.sessions) as session:
            assert_counts_are_true(session)
            counted = session.execute(select(Run.status, func.count()).group_by(Run.status)).all()
            truth = {**dict.fromkeys(WorkStatus, 0), **{WorkStatus(row[0]): row[1] for row in counted}}
            assert total_counts(session) == truth

    def close(self) -> None:
        self.engine.dispose()


class WorkerProcess:
    """One worker process, which writes to a log file."""

    def __init__(self, url: str, log: Path, settings: dict[str, str], command: Sequence[str] = FAKE_METHODS) -> None:
        self._log = log
        environment = {**os.environ, "DATABASE_URL": url}
        environment.update({f"NEURON_AUDIT_{name}": value for name, value in {**SHORT_LEASES, **settings}.items()})
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    @property
    def has_started(self) -> bool:
        """Whether it is past its imports: it takes runs and handles signals."""
        return '"event": "worker.started"' in self._log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


class Fleet:
    """Workers on one database. Whoever dies is started again by ``keep``."""

    def __init__(self, url: str, folder: Path, size: int, command: Sequence[str], settings: dict[str, str]) -> None:
        self._url = url
        self._folder = folder
        self._command = command
        self._settings = settings
        self.n_started = 0
        self.workers = [self._start() for _ in range(size)]

    def _start(self) -> WorkerProcess:
        self.n_started += 1
        return WorkerProcess(self._url, self._folder / f"worker-{self.n_started}.log", self._settings, self._command)

    def keep(self) -> None:
        """Start a new worker for each that has died."""
        self.workers = [worker if worker.runs else self._start() for worker in self.workers]

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL for one of those that work, and a new one instead."""
        self.wait_until(lambda: any(worker.has_started for worker in self.workers))
        chance.choice([worker for worker in self.workers if worker.has_started]).kill()
        self.keep()

    def with_pid(self, pid: int) -> WorkerProcess:
        return next(worker for worker in self.workers if worker.pid == pid)

    def n_logged(self, event: str) -> int:
        """The number of times that this event is in the logs of all workers so far."""
        return sum(log.read_text().count(f'"event": "{event}"') for log in self._folder.glob("worker-*.log"))

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Look until it has happened, while every worker lives. Raises AssertionError where one ends by itself."""
        wait_until(happened, self._expect_life)

    def _expect_life(self) -> None:
        dead = [worker.process.args for worker in self.workers if not worker.runs]
        assert not dead, f"ended by itself: {dead}"

    def has_logged(self, event: str, times: int) -> bool:
        """Whether this event is in the logs at least so often."""
        return self.n_logged(event) >= times

    def stop(self, number: signal.Signals = signal.SIGTERM) -> list[int]:
        """Ask all to stop once they have started; returns their exit codes."""
        self.wait_until(lambda: all(worker.has_started for worker in self.workers))
        for worker in self.workers:
            if worker.runs:
                worker.send(signal.SIGCONT)
                worker.send(number)
        return [worker.process.wait(GUARD_SECONDS) for worker in self.workers]


@contextmanager
def fleet(url: str, folder: Path, size: int, command: Sequence[str] = FAKE_METHODS, **settings: str) -> Iterator[Fleet]:
    """Workers that are ended with the block. ``settings`` by their names, in capitals."""
    workers = Fleet(url, folder, size, command, settings)
    try:
        yield workers
    finally:
        for worker in workers.workers:
            worker.process.kill()
            worker.process.wait()


def wait_until(happened: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Look until it has happened. Raises AssertionError where it never does."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        meanwhile()
        time.sleep(LOOK_SECONDS)
