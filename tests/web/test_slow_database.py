"""What the site does while the database is slow, stuck or away. The limits are real, no test waits for a clock."""

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest
from sqlalchemy import text

from app.db import Sessions, make_engine, transaction
from tests.browser.site import command, free_port, running, wait_until
from tests.factories import Make

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 5.0
"""What the program promises. The limits of the tests are more generous: this machine may be busy."""


@contextmanager
def served(database: str, folder: Path, **settings: str) -> Iterator[str]:
    """A web server over a database; its address."""
    port = free_port()
    environment = {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database,
        "NEURON_AUDIT_DATA_DIR": str(folder),
        "NEURON_AUDIT_PORT": str(port),
        **settings,
    }
    with running(["serve"], environment, folder / "serve.log"):
        wait_until(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def locked(database: str, table: str) -> Iterator[None]:
    """Nobody else can read this table."""
    engine = make_engine(database)
    with engine.connect() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield
    engine.dispose()


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that accepts connections and never answers; the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield int(listener.getsockname()[1])


def test_a_site_without_an_account_can_be_read_whatever_address_it_binds(fresh_database: str, tmp_path: Path) -> None:
    with served(fresh_database, tmp_path, NEURON_AUDIT_HOST="0.0.0.0") as site:
        assert httpx.get(site, timeout=60).status_code == 200
        added = httpx.post(f"{site}/people", data={"name": "eve", "role": "administrator"}, timeout=60)
        assert added.status_code == 401
    assert "neuron-audit user add NAME --role administrator" in (tmp_path / "serve.log").read_text()


def test_a_locked_table_blocks_no_other_page(fresh_database: str, tmp_path: Path) -> None:
    with served(fresh_database, tmp_path) as site, httpx.Client(base_url=site, timeout=60) as client:
        with locked(fresh_database, "subject"), ThreadPoolExecutor(46) as threads:
            waiting = [threads.submit(httpx.get, f"{site}/methods" if i % 2 else site, timeout=60) for i in range(46)]
            started = monotonic()
            assert client.get("/health").status_code == 200
            assert client.get("/static/icon.svg").status_code == 200
            assert not all(future.done() for future in waiting)  # these two did not wait for the others
            answers = [future.result() for future in waiting]
            assert monotonic() - started < 6 * ANSWER_SECONDS
        refused = [answer for answer in answers if answer.status_code == 503]
        assert len(refused) >= 23
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert all(answer.headers["retry-after"] for answer in refused)
        assert client.get("/").status_code == 200


def test_who_waits_for_what_another_request_reads_waits_no_longer_than_it(
    fresh_database: str, fresh_sessions: Sessions, tmp_path: Path
) -> None:
    with transaction(fresh_sessions) as session:
        Make(session).neuron(Make(session).subject())
    n = 8
    with served(fresh_database, tmp_path) as site, ThreadPoolExecutor(n) as threads:
        httpx.get(site, timeout=60)
        with locked(fresh_database, "neuron"):
            answers = list(threads.map(lambda _: httpx.get(f"{site}/tiny/plots", timeout=60), range(n)))
    assert {answer.status_code for answer in answers} == {503}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 3 * ANSWER_SECONDS  # one by one: 24 s


def test_more_requests_than_the_server_takes_are_answered_at_once(fresh_database: str, tmp_path: Path) -> None:
    with served(fresh_database, tmp_path, NEURON_AUDIT_REQUESTS_AT_ONCE="2") as site:
        with locked(fresh_database, "subject"), ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: httpx.get(site, timeout=60), range(8)))
        assert {answer.status_code for answer in answers} == {503}
        assert any("busy" in answer.text for answer in answers)
        assert all(answer.headers["retry-after"] for answer in answers)


def test_a_database_that_accepts_and_never_answers_keeps_no_server_from_serving(tmp_path: Path) -> None:
    with silent_server() as port:
        address = f"postgresql://audit@127.0.0.1:{port}/audit?connect_timeout=1"
        with served(address, tmp_path) as site:
            assert httpx.get(f"{site}/static/icon.svg", timeout=60).status_code == 200
            assert httpx.get(f"{site}/health", timeout=60).status_code == 503
            assert httpx.get(site, timeout=60).status_code == 503


def test_a_command_gives_up_on_a_database_that_never_answers(tmp_path: Path) -> None:
    with silent_server() as port:
        ended = subprocess.run(
            command(["user", "list"]),
            cwd=ROOT,
            env={"DATABASE_URL": f"postgresql://audit@127.0.0.1:{port}/audit?connect_timeout=1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 75
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", [["serve"], ["user", "list"], ["worker"], ["db", "where"], ["health", "worker"]])
def test_an_unusable_data_folder_is_reported_in_a_line(tmp_path: Path, words: list[str]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for folder in (taken, taken / "below"):
        ended = subprocess.run(
            command(words),
            cwd=ROOT,
            env={"NEURON_AUDIT_DATA_DIR": str(folder), "NEURON_AUDIT_PORT": str(free_port())},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        assert f"The data folder {folder} cannot be used" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_data_folder_of_another_postgresql_is_reported_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    ended = subprocess.run(
        command(["user", "list"]),
        cwd=ROOT,
        env={"NEURON_AUDIT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert f"The data folder {tmp_path} cannot be used: Version mismatch" in ended.stderr
    assert "Traceback" not in ended.stderr
