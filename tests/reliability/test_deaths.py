"""Workers that are killed, freeze, or hold a run that kills them."""

import random
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.reliability.conftest import MakeStage
from tests.reliability.fleet import fleet, wait_until

MOST_EXECUTIONS_PER_PIECE = 1.15


@pytest.mark.parametrize(
    ("n_runs", "n_kills", "n_workers"),
    [pytest.param(100, 10, 2, id="short"), pytest.param(1_000, 100, 3, id="full", marks=pytest.mark.soak)],
)
def test_killed_workers_lose_and_double_nothing(
    stage: MakeStage, tmp_path: Path, n_runs: int, n_kills: int, n_workers: int
) -> None:
    on = stage(n_runs, seconds=0.1)
    on.enqueue()
    on.enqueue_tasks(n_runs)
    n = 2 * n_runs
    chance = random.Random(0)
    # Crashes come by chance here, not by the work's doing: none may lead to quarantine.
    with fleet(on.url, tmp_path, n_workers, MAX_DEATHS="1000") as workers:
        for number in range(1, n_kills + 1):
            workers.wait_until(partial(on.has_ended, number * n // (n_kills + 1)))
            workers.kill_one(chance)
        wait_until(partial(on.has_ended, n), workers.keep)
        assert workers.stop() == [0] * n_workers
        assert workers.n_started == n_workers + n_kills
    assert on.counts_by_status() == {"succeeded": n}
    on.assert_nothing_is_lost_or_doubled()
    assert on.sum_of("executions") <= MOST_EXECUTIONS_PER_PIECE * n
    assert on.sum_of("attempt") == 0


@pytest.mark.parametrize("table", ["run", "task"])
@pytest.mark.parametrize("n_rounds", [pytest.param(2, id="short"), pytest.param(20, id="full", marks=pytest.mark.soak)])
def test_a_frozen_worker_that_wakes_late_is_refused_every_time(
    stage: MakeStage, tmp_path: Path, n_rounds: int, table: str
) -> None:
    on = stage(n_rounds, seconds=1, silent=True)
    holder = f"SELECT coalesce(max(pid), 0) FROM {table} JOIN worker ON worker.id = worker_id WHERE status = 'running'"
    with fleet(on.url, tmp_path, 2, MAX_DEATHS="1000") as workers:
        for number, neuron_id in enumerate(on.neuron_ids, start=1):
            if table == "run":
                on.enqueue([neuron_id])
            else:
                on.enqueue_tasks(1)
            workers.wait_until(lambda: on.count(holder) != 0)
            frozen = workers.with_pid(on.count(holder))
            frozen.send(signal.SIGSTOP)
            workers.wait_until(partial(on.has_ended, number))
            frozen.send(signal.SIGCONT)
            workers.wait_until(partial(workers.has_logged, "work.refused", number))
        assert workers.stop() == [0, 0]
        assert workers.n_logged("work.refused") == n_rounds
    assert on.counts_by_status() == {"succeeded": n_rounds}
    on.assert_nothing_is_lost_or_doubled()
    assert on.sum_of("executions") == 2 * n_rounds


@pytest.mark.parametrize("n_runs", [pytest.param(10, id="short"), pytest.param(100, id="full", marks=pytest.mark.soak)])
def test_a_run_that_kills_its_worker_is_quarantined_and_stops_nothing_else(
    stage: MakeStage, tmp_path: Path, n_runs: int
) -> None:
    on = stage(n_runs, seconds=0.05, killer=3)
    on.enqueue()
    with fleet(on.url, tmp_path, 1) as workers:
        wait_until(partial(on.has_ended, n_runs), workers.keep)
        assert workers.stop() == [0]
        assert workers.n_started == 1 + 3
    assert on.counts_by_status() == {"succeeded": n_runs - 1, "quarantined": 1}
    on.assert_nothing_is_lost_or_doubled()
    assert on.column("SELECT deaths FROM run WHERE status = 'quarantined'") == [3]
    assert on.column("SELECT neuron_id FROM run WHERE status = 'quarantined'") == [on.neuron_ids[3]]


def test_a_task_that_kills_its_worker_is_quarantined_and_takes_no_run_along(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(5, seconds=0.05)
    on.enqueue_tasks(1, kills=True)
    on.enqueue_tasks(2)
    on.enqueue()
    with fleet(on.url, tmp_path, 1) as workers:
        wait_until(partial(on.has_ended, 8), workers.keep)
        assert workers.stop() == [0]
        assert workers.n_started == 1 + 3
    assert on.counts_by_status() == {"succeeded": 7, "quarantined": 1}
    on.assert_nothing_is_lost_or_doubled()
