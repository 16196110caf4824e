"""PostgreSQL that restarts at once, without a goodbye, while workers are at work."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from app.embedded import EmbeddedServer
from tests.own_server import all_frozen, own_server, processes_of
from tests.reliability.fleet import Stage, fleet

N_WORKERS = 2


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with own_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.parametrize(
    ("n_runs", "n_restarts"),
    [pytest.param(100, 3, id="short"), pytest.param(1_000, 10, id="full", marks=pytest.mark.soak)],
)
def test_restarts_of_the_database_lose_and_double_nothing(
    server: EmbeddedServer, tmp_path: Path, n_runs: int, n_restarts: int
) -> None:
    on = Stage(server.url, n_neurons=n_runs, parameters={"seconds": 0.05})
    on.enqueue()
    on.enqueue_tasks(n_runs // 2)
    n = n_runs + n_runs // 2
    with fleet(on.url, tmp_path, N_WORKERS) as workers:
        for number in range(1, n_restarts + 1):
            workers.wait_until(partial(on.has_ended, number * n // (n_restarts + 1)))
            server.control("restart", "-m", "immediate")  # to its clients a crash
        workers.wait_until(partial(on.has_ended, n))
        assert workers.stop() == [0] * N_WORKERS
        assert workers.n_logged("model.loaded") == N_WORKERS
    assert on.counts_by_status() == {"succeeded": n}
    on.assert_nothing_is_lost_or_doubled()
    assert on.sum_of("attempt") == 0
    on.close()


def test_a_database_that_freezes_for_a_while_loses_and_doubles_nothing(server: EmbeddedServer, tmp_path: Path) -> None:
    on = Stage(server.url, n_neurons=40, parameters={"seconds": 0.05})
    on.enqueue()
    on.enqueue_tasks(20)
    with fleet(on.url, tmp_path, N_WORKERS) as workers:
        workers.wait_until(partial(on.has_ended, 10))
        with all_frozen(processes_of(server)[0]):
            workers.wait_until(partial(workers.has_logged, "database.silent", N_WORKERS))
        workers.wait_until(partial(on.has_ended, 60))
        assert workers.stop() == [0] * N_WORKERS
    assert on.counts_by_status() == {"succeeded": 60}
    on.assert_nothing_is_lost_or_doubled()
    on.close()
