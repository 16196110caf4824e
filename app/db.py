"""The database: engine, sessions, the one place that commits, and the embedded server."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import psycopg
import structlog
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.orm import Session, sessionmaker

from app.embedded import RESTART_SECONDS, EmbeddedServer, embedded_server
from app.errors import Unavailable
from app.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Sessions: TypeAlias = sessionmaker[Session]


def database_url(settings: Settings) -> str:
    """The address of the database; starts the embedded server where no address is set.

    The embedded server stops when the last process that asked for it has ended.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return _embedded(settings).url


def open_database(settings: Settings, *, pool_size: int = 10, options: str = "") -> Engine:
    """An engine on the database of the settings, with more options for the server where ``options`` has some.

    Where the embedded server is the one and has died, the next connection starts it again.
    """
    url = make_url(database_url(settings))
    if options:
        url = url.update_query_dict({"options": f"{url.query.get('options', '')} {options}".strip()})
    engine = make_engine(url.render_as_string(hide_password=False), pool_size=pool_size)
    if settings.database_url is None:
        event.listen(engine, "do_connect", partial(_connect, _embedded(settings)))
    return engine


def make_engine(url: str, *, pool_size: int = 10) -> Engine:
    """An engine that speaks psycopg 3 whatever form of PostgreSQL address it is given."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=True,
        pool_use_lifo=True,  # few connections stay warm, with the plans they have prepared
    )


def make_sessions(engine: Engine) -> Sessions:
    """The factory of sessions. Rows stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def make_reading_sessions(engine: Engine) -> Sessions:
    """The factory of sessions for what only reads: no transaction is begun, and none ended.

    A transaction at the default isolation level would read the same, with two more round trips.
    """
    return make_sessions(engine.execution_options(isolation_level="AUTOCOMMIT"))


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """One transaction: commits at the end, rolls back on any exception. The only commit."""
    with sessions() as session, session.begin():
        yield session


def _embedded(settings: Settings) -> EmbeddedServer:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return embedded_server(settings.data_dir.resolve() / "postgres")


def _connect(server: EmbeddedServer, dialect: Dialect, _record: object, positional: list[Any], named: Any) -> Any:
    """A connection to the embedded server, which is started first if it has died."""
    try:
        return dialect.connect(*positional, **named)
    except psycopg.OperationalError as error:
        log.warning("database.gone", reason=str(error).strip())
    try:
        server.start(seconds=RESTART_SECONDS)
    except Unavailable as error:
        log.warning("database.not_started", reason=error.message)
    return dialect.connect(*positional, **named)
