import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from app.embedded import EmbeddedServer
from app.errors import Unavailable

USER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlalchemy import text
from app.db import open_database
from app.log import configure_logging
from app.settings import Settings

settings = Settings(data_dir=Path(sys.argv[1]), database_url=None)
configure_logging(settings)
engine = open_database(settings)

def answer(question):
    with engine.begin() as connection:
        answer = connection.execute(text(question))
        return answer.scalar() if answer.returns_rows else "done"

for line in sys.stdin:
    n_threads, question = line.split(maxsplit=1)
    with ThreadPoolExecutor(int(n_threads)) as pool:
        print(*set(pool.map(answer, [question] * int(n_threads))), flush=True)
"""


class User:
    """A process that uses the embedded server in a folder until it is stopped."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", USER, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, question: str = "SELECT 1", *, n_threads: int = 1) -> str:
        """What the database answers it, in so many threads at once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{n_threads} {question}\n")
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate(timeout=120)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


StartUser: TypeAlias = Callable[[], User]


@pytest.fixture
def start_user(tmp_path: Path) -> Iterator[StartUser]:
    """Starts users of one server, and waits until they have reached it."""
    with ExitStack() as stack:

        def start() -> User:
            user = User(tmp_path)
            stack.callback(user.end)
            assert user.ask() == "1"
            return user

        yield start


@pytest.fixture
def process_file(tmp_path: Path) -> Path:
    """The file in which the server records that it runs, with its process number first."""
    return tmp_path / "postgres" / "postmaster.pid"


def kill_server(process_file: Path) -> None:
    """End the server without a goodbye and wait until it has gone."""
    number = int(process_file.read_text().partition("\n")[0])
    os.kill(number, signal.SIGKILL)
    subprocess.run(["tail", f"--pid={number}", "-f", os.devnull], timeout=60, check=True)


def test_the_server_stops_with_its_last_user_even_if_another_was_killed(
    start_user: StartUser, process_file: Path
) -> None:
    killed, last = start_user(), start_user()
    killed.kill()
    assert last.ask() == "1"
    last.end()
    assert not process_file.exists()


def test_a_killed_server_is_started_again_by_the_next_connection_and_stopped_by_the_last_user(
    start_user: StartUser, process_file: Path
) -> None:
    idle, busy = start_user(), start_user()
    assert busy.ask("CREATE TABLE kept AS SELECT 42 AS value") == "done"
    kill_server(process_file)
    assert busy.ask("SELECT value FROM kept") == "42"
    busy.end()
    assert process_file.exists()
    idle.end()  # knows nothing of the second start
    assert not process_file.exists()


def test_threads_that_miss_a_killed_server_at_once_start_it_once(start_user: StartUser, process_file: Path) -> None:
    user = start_user()
    log = process_file.with_name("log")
    kill_server(process_file)
    n_starts = log.read_text().count("starting PostgreSQL")
    assert user.ask(n_threads=8) == "1"
    assert log.read_text().count("starting PostgreSQL") == n_starts + 1


@pytest.mark.parametrize("number", [pytest.param(str(os.getpid()), id="of a living process"), "not a number"])
def test_a_process_file_that_outlived_its_server_does_not_keep_the_next_from_starting(
    start_user: StartUser, process_file: Path, number: str
) -> None:
    user = start_user()
    user.kill()
    kill_server(process_file)
    lines = process_file.read_text().splitlines()
    process_file.write_text("\n".join([number, *lines[1:]]) + "\n")
    assert start_user().ask() == "1"


def test_a_server_that_cannot_start_says_where_its_log_is(tmp_path: Path, start_user: StartUser) -> None:
    start_user().end()
    (tmp_path / "postgres" / "postgresql.conf").write_text("no setting at all\n")
    script = "import sys; from pathlib import Path; import app.embedded as e; e.START_SECONDS = 0; "
    script += "e.embedded_server(Path(sys.argv[1]))"
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "postgres")], capture_output=True, text=True)
    assert f"does not start. See {tmp_path / 'postgres' / 'log'}" in ended.stderr


def test_what_other_users_of_the_machine_hold_keeps_nobody_out(
    tmp_path: Path, start_user: StartUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library locks one file of the machine, which belongs to the user who came first."""
    (tmp_path / "runtime" / "python_PostgresServer" / ".lockfile").mkdir(parents=True)  # none can open it
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    assert start_user().ask() == "1"


def test_a_user_without_a_name_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    with pytest.raises(Unavailable, match="needs a user with a name, and user 4000000000 has none"):
        EmbeddedServer(tmp_path / "postgres")
