"""Fixtures for every test: one embedded PostgreSQL, migrated once, cloned or rolled back per test."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from app.db import Sessions, make_engine, make_sessions
from app.embedded import EmbeddedServer
from app.schema import migrate
from tests.factories import Make

TEMPLATE = "template_migrated"

# No test depends on a time.
hypothesis.settings.register_profile("any_speed", deadline=None)
hypothesis.settings.load_profile("any_speed")


@pytest.hookimpl(tryfirst=True)  # the plugin reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, a file's tests stay together, and so do all that share the one site."""
    for item in items:
        folder = item.path.parent
        together = folder if folder.name == "browser" and "site" in getattr(item, "fixturenames", ()) else item.path
        item.add_marker(pytest.mark.xdist_group(together.relative_to(item.config.rootpath).as_posix()))


@pytest.fixture(autouse=True)
def log_handlers() -> Iterator[None]:
    """Commands set up logging to the standard error of their test; the next test gets what was before."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an embedded server that holds a migrated template database; it stops with the last test."""
    server = EmbeddedServer(tmp_path_factory.mktemp("data") / "postgres")
    url = server.url
    _administer(url, f"CREATE DATABASE {TEMPLATE}")
    engine = make_engine(_named(url, TEMPLATE))
    migrate(engine)
    engine.dispose()
    yield url
    server.let_go()


@pytest.fixture(scope="session")
def engine(server_url: str) -> Iterator[Engine]:
    """The engine of the one database that rolled-back tests share."""
    _administer(server_url, f"CREATE DATABASE shared_by_tests TEMPLATE {TEMPLATE}")
    engine = make_engine(_named(server_url, "shared_by_tests"))
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Iterator[Sessions]:
    """A session factory whose commits end with the test: all run inside one outer transaction."""
    with engine.connect() as connection:
        outer = connection.begin()
        yield sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        outer.rollback()


@pytest.fixture
def session(sessions: Sessions) -> Iterator[Session]:
    """A session inside the test's outer transaction."""
    with sessions() as session:
        yield session


@pytest.fixture
def make(session: Session) -> Make:
    """Rows for tests; alice is an administrator, bob a reviewer, charlie a viewer."""
    return Make(session)


@pytest.fixture
def fresh_database(server_url: str) -> Iterator[str]:
    """Address of a migrated database of this test's own, for tests with several processes."""
    with cloned_database(server_url) as url:
        yield url


@pytest.fixture
def fresh_engine(fresh_database: str) -> Iterator[Engine]:
    """The engine of a database of this test's own, closed however the test ends."""
    engine = make_engine(fresh_database)
    yield engine
    engine.dispose()


@pytest.fixture
def fresh_sessions(fresh_engine: Engine) -> Sessions:
    """Sessions of a database of this test's own."""
    return make_sessions(fresh_engine)


@contextmanager
def cloned_database(server_url: str) -> Iterator[str]:
    """Address of a migrated database that is dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield _named(server_url, name)
    _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _administer(url: str, statement: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
