"""What the site does while its database server is frozen: connected, and silent. No test waits for a clock."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.db import Limits, Sessions, allow_seconds, make_engine, make_sessions, transaction
from app.embedded import EmbeddedServer
from app.silence import responds
from tests.browser.site import wait_until
from tests.own_server import all_frozen, frozen, own_server, processes_of
from tests.web.test_slow_database import ANSWER_SECONDS, served

PAGES = ["/", "/methods", "/methods.json", "/search?words=a", "/nobody", "/nobody/0/1.json"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with own_server(tmp_path_factory.mktemp("server")) as server:
        yield server


class Relay:
    """A port of the network before a server of this machine, which can stop passing on what is sent."""

    def __init__(self, path: str) -> None:
        self._path, self.passes = path, Event()
        self.passes.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            behind = socket.socket(socket.AF_UNIX)
            behind.connect(self._path)
            for one, other in ((client, behind), (behind, client)):
                Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while part := one.recv(65_536):
                self.passes.wait()
                other.sendall(part)
        except OSError:
            pass
        finally:
            one.close()
            other.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.passes.clear()
        try:
            yield
        finally:
            self.passes.set()

    def close(self) -> None:
        self._listener.close()


def _socket_of(server: EmbeddedServer) -> str:
    engine = make_engine(server.url)
    with engine.connect() as connection:
        settings = "SELECT current_setting('unix_socket_directories'), current_setting('port')"
        row = connection.execute(text(settings)).one()
    engine.dispose()
    return f"{row[0]}/.s.PGSQL.{row[1]}"


def _assert_it_survives(site: str, freezing: AbstractContextManager[None]) -> None:
    with httpx.Client(base_url=site, timeout=60) as client, ThreadPoolExecutor(30) as threads:
        list(threads.map(lambda path: httpx.get(site + path, timeout=60), 4 * PAGES))  # all connections are open
        with freezing:
            person = {"name": "alice", "password": "wrong"}
            forms = [threads.submit(httpx.post, f"{site}/login/password", data=person, timeout=60)]
            waiting = [threads.submit(httpx.get, site + path, timeout=60) for path in 4 * PAGES]
            assert client.get("/static/icon.svg").status_code == 200
            health = client.get("/health", headers={"accept": "*/*"})
            assert (health.status_code, health.json()["status"]) == (503, 503)
            answers = [future.result() for future in [*forms, *waiting]]
            assert {answer.status_code for answer in answers} == {503}
            assert all(answer.headers["retry-after"] for answer in answers)
            assert max(answer.elapsed.total_seconds() for answer in answers) < 3 * ANSWER_SECONDS
        wait_until(lambda: client.get("/").status_code == 200)
        assert client.get("/health").status_code == 200


def test_a_frozen_server_leaves_no_request_without_an_answer(server: EmbeddedServer, tmp_path: Path) -> None:
    with served(server.url, tmp_path) as site:
        httpx.get(site, timeout=60)
        main, *_ = processes_of(server)
        _assert_it_survives(site, all_frozen(main))


def test_nor_does_a_network_that_passes_nothing_on(server: EmbeddedServer, tmp_path: Path) -> None:
    with closing(Relay(_socket_of(server))) as relay:
        address = f"postgresql://postgres@127.0.0.1:{relay.port}/postgres?sslmode=disable"
        with served(address, tmp_path) as site:
            _assert_it_survives(site, relay.frozen())


def test_a_statement_may_take_its_time_where_the_server_responds_to_others(fresh_database: str) -> None:
    engine = make_engine(fresh_database, limits=Limits(silent_seconds=0.1))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1 FROM pg_sleep(1)")) == 1
    engine.dispose()


def test_a_connection_that_is_frozen_alone_is_given_up_once_its_statement_is_over_its_limit(
    server: EmbeddedServer,
) -> None:
    engine = make_engine(server.url, limits=Limits(statement_seconds=0.5, silent_seconds=0.1))
    sessions = make_sessions(engine)
    _assert_it_is_given_up(sessions)
    with transaction(sessions) as session:
        allow_seconds(session, seconds=10_000)
        assert session.execute(text("SELECT 1 FROM pg_sleep(1.5)")).scalar_one() == 1
    _assert_it_is_given_up(sessions)  # the limit of that transaction has ended with it
    engine.dispose()


def _assert_it_is_given_up(sessions: Sessions) -> None:
    with sessions() as session:
        backend = psutil.Process(session.execute(text("SELECT pg_backend_pid()")).scalar_one())
        with frozen([backend]), pytest.raises(OperationalError, match="does not respond"):
            session.execute(text("SELECT 1"))


def test_during_a_silence_no_connection_is_tried(server: EmbeddedServer) -> None:
    engine = make_engine(server.url, limits=Limits(silent_seconds=0.1))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with frozen(processes_of(server)):
            with pytest.raises(OperationalError, match="does not respond"):
                connection.execute(text("SELECT 1"))
            with pytest.raises(OperationalError, match="does not respond"):
                engine.connect()
    engine.dispose()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "/nowhere"])
def test_where_nobody_listens_nobody_responds(host: str) -> None:
    assert not responds(host, 1)
