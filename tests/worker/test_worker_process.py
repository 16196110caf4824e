"""The process itself: how it starts, stops, gives back what it holds, and follows its parent."""

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.db import transaction
from app.domain.work import RUN
from app.queries.methods.definitions import ensure_builtin_methods
from app.settings import Settings
from tests.reliability.conftest import MakeStage, stage
from tests.reliability.fleet import ROOT, SHORT_LEASES, WORK, Stage, fleet, wait_until
from worker.run.held import Done, HeldWork
from worker.run.main import BROKEN, WorkerProcess

__all__ = ["stage"]

RUNNING = f"SELECT count(*) FROM {WORK} AS work WHERE status = 'running'"
STALLED = 75


def is_running(on: Stage) -> bool:
    """Whether a worker holds one piece of work."""
    return on.count(RUNNING) == 1


def test_a_worker_that_is_told_to_stop_finishes_what_it_holds(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(2, seconds=0.5)
    on.enqueue()
    with fleet(on.url, tmp_path, 1) as workers:
        workers.wait_until(partial(is_running, on))
        assert workers.stop() == [0]
    assert on.counts_by_status() == {"succeeded": 1, "queued": 1}
    assert on.count("SELECT count(*) FROM worker WHERE stopped_at IS NOT NULL AND n_finished = 1") == 1


def test_a_worker_names_the_device_in_use_whatever_its_setting_says(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(1, seconds=0)
    on.enqueue()
    with fleet(on.url, tmp_path, 1, DEVICE="cuda:7") as workers:
        workers.wait_until(partial(on.has_ended, 1))
        assert on.count("SELECT count(*) FROM worker WHERE device = 'cpu'") == 1


def test_a_worker_without_time_to_finish_gives_its_work_back(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(1, seconds=600)
    on.enqueue()
    on.enqueue_tasks(1)
    with fleet(on.url, tmp_path, 1, STOP_SECONDS="0.2") as workers:
        workers.wait_until(lambda: on.count(RUNNING) == 2)
        assert workers.stop() == [0]
    assert on.counts_by_status() == {"queued": 2}
    assert on.column("SELECT attempt + deaths FROM run UNION ALL SELECT attempt + deaths FROM task") == [0, 0]
    on.assert_counts_are_right()


def test_a_worker_whose_work_stands_still_ends_itself_and_the_run_counts_a_death(
    stage: MakeStage, tmp_path: Path
) -> None:
    on = stage(1, seconds=600, silent=True)
    on.enqueue()
    with fleet(on.url, tmp_path, 1, STALL_SECONDS="0.5", STOP_SECONDS="0.2", MAX_DEATHS="1") as workers:
        assert workers.workers[0].process.wait() == STALLED
        workers.keep()
        wait_until(partial(on.has_ended, 1))
    assert on.counts_by_status() == {"quarantined": 1}


def test_what_stalled_work_meets_while_its_worker_ends_is_no_failed_attempt(stage: MakeStage) -> None:
    """A worker that had been frozen ended as stalled, and threads that could no longer start failed its check."""
    on = stage(1)
    on.enqueue()
    ended, threads = threading.Event(), list[threading.Thread]()

    def stall(held: HeldWork[Any]) -> Done:
        threads.append(threading.current_thread())
        ended.wait()
        raise RuntimeError("cannot schedule new futures after shutdown")

    settings = Settings(look_seconds=1, stall_seconds=0.2, stop_seconds=0.1)
    try:
        assert WorkerProcess(settings, on.sessions, {RUN: stall, "pretend": lambda held: Done()}).run() == STALLED
    finally:
        ended.set()
    threads[0].join()
    assert on.column("SELECT attempt FROM run") == [0]
    assert on.counts_by_status() == {"running": 1}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what is tested
@pytest.mark.parametrize("kind", [RUN, "pretend"])
def test_a_slot_that_dies_ends_its_worker_whatever_it_does(stage: MakeStage, kind: str) -> None:
    on = stage(1)
    on.enqueue()
    on.enqueue_tasks(1)

    def die(held: HeldWork[Any]) -> Done:
        raise SystemExit  # no Exception: nothing in the slot catches it

    settings = Settings(look_seconds=1)
    others = {RUN, "pretend"} - {kind}
    handlers = {kind: die, **dict.fromkeys(others, lambda held: Done())}
    assert WorkerProcess(settings, on.sessions, handlers).run() == BROKEN


def test_several_runs_at_a_time_share_one_model(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(12, seconds=0.1)
    on.enqueue()
    with fleet(on.url, tmp_path, 1, CONCURRENCY="3") as workers:
        workers.wait_until(partial(on.has_ended, 12))
        assert workers.stop() == [0]
        assert workers.n_logged("model.loaded") == 1
    on.assert_nothing_is_lost_or_doubled()


def test_a_worker_ends_with_its_parent(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(1)
    start = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'tests.reliability.run_worker']);"
        "sys.stdin.read()"
    )
    settings = {f"NEURON_AUDIT_{name}": value for name, value in SHORT_LEASES.items()}
    with (tmp_path / "log").open("ab") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", start],
            cwd=ROOT,
            env={**os.environ, **settings, "DATABASE_URL": on.url},
            stdin=subprocess.PIPE,
            stderr=log,
        )
        wait_until(lambda: on.count("SELECT count(*) FROM worker") == 1)
        parent.kill()
        parent.communicate()
    wait_until(lambda: on.count("SELECT count(*) FROM worker WHERE stopped_at IS NOT NULL") == 1)


def test_the_command_runs_the_methods_of_the_registry(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(3)
    with transaction(on.sessions) as session:
        ensure_builtin_methods(session)
        on.method_id = session.execute(text("SELECT id FROM method WHERE name = 'lexical'")).scalar_one()
    on.enqueue()
    with fleet(on.url, tmp_path, 1, command=("-m", "app.cli", "worker", "--exit-with-parent")) as workers:
        workers.wait_until(partial(on.has_ended, 3))
        assert workers.stop(signal.SIGINT) == [0]
    assert on.counts_by_status() == {"failed": 3}
    (error,) = on.errors()
    assert "no train records" in error
