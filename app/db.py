"""The database: engine, sessions, the only function that commits, and the embedded server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from app.embedded import EmbeddedServer, embedded_server
from app.errors import Unavailable
from app.settings import Settings
from app.silence import Connector, WatchedConnection

Sessions: TypeAlias = sessionmaker[Session]

CONNECT_SECONDS = 3
"""Longest wait in seconds for a new connection. psycopg tries each address of a host name for this long."""
NETWORK_LIMITS = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""Settings by which a connection to a dead machine breaks after at most a minute; the system's limits are hours."""
REPLY_MARGIN_SECONDS = 0.4
"""Seconds after the limit of a statement, at which the server ends it and reports that, until it counts as silent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The number of connections of a program, and its time limits in seconds.

    ``pool_seconds`` is for a free connection. ``statement_seconds``, ``lock_seconds`` and ``idle_seconds`` are for one
    statement, for a lock, and for an idle transaction; None sets no limit.
    """

    pool_size: int = 10
    max_overflow: int = 10
    pool_seconds: float = 30.0
    statement_seconds: float | None = None
    lock_seconds: float | None = None
    idle_seconds: float | None = None
    silent_seconds: float = 10.0

    @property
    def options(self) -> str:
        """The limits that the server enforces, as libpq's ``options``.

        Just-in-time compilation is off: the estimated cost of a page's statement, the sum of many short parts, would
        trigger a compilation that takes longer than the statement.
        """
        timeouts = {
            "statement_timeout": self.statement_seconds,
            "lock_timeout": self.lock_seconds,
            "idle_in_transaction_session_timeout": self.idle_seconds,
        }
        set_ones = (f"-c {name}={int(1000 * seconds)}" for name, seconds in timeouts.items() if seconds is not None)
        return " ".join(["-c jit=off", *set_ones])

    @property
    def reply_seconds(self) -> float | None:
        """Longest wait for the reply to one statement; None if statements have no limit."""
        return None if self.statement_seconds is None else self.statement_seconds + REPLY_MARGIN_SECONDS


def database_url(settings: Settings) -> str:
    """The URL of the database; starts the embedded server if no URL is set.

    The embedded server stops when the last process that uses it has ended.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return _embedded(settings).url


def open_database(settings: Settings, *, limits: Limits | None = None) -> Engine:
    """An engine on the database of the settings, within these limits.

    If the embedded server has died, the next connection starts it again. Raises Unavailable if the data folder cannot
    be used.
    """
    limits = limits or Limits()
    url = make_url(database_url(settings))
    url = url.update_query_dict({"options": f"{url.query.get('options', '')} {limits.options}".strip()})
    server = _embedded(settings) if settings.database_url is None else None
    return make_engine(url.render_as_string(hide_password=False), limits=limits, server=server)


def make_engine(url: str, *, limits: Limits | None = None, server: EmbeddedServer | None = None) -> Engine:
    """An engine that uses psycopg 3, for any form of PostgreSQL URL. ``server`` is started again if it has died."""
    limits = limits or Limits()
    address = make_url(url).set(drivername="postgresql+psycopg")
    # without a limit, a server that accepts connections and never replies would block for ever
    bounds = {"connect_timeout": str(CONNECT_SECONDS), **NETWORK_LIMITS}
    address = address.update_query_dict({name: value for name, value in bounds.items() if name not in address.query})
    engine = create_engine(
        address,
        pool_size=limits.pool_size,
        max_overflow=limits.max_overflow,
        pool_timeout=limits.pool_seconds,
        pool_pre_ping=True,
        pool_use_lifo=True,  # few connections stay open, with their prepared statements
    )
    connector = Connector(server, silent_seconds=limits.silent_seconds, reply_seconds=limits.reply_seconds)
    event.listen(engine, "do_connect", connector.connect)
    return engine


def make_sessions(engine: Engine) -> Sessions:
    """The factory of sessions. Rows stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def make_reading_sessions(engine: Engine) -> Sessions:
    """The factory of read-only sessions, in autocommit mode without transactions.

    A transaction at the default isolation level would read the same, with two more round trips.
    """
    return make_sessions(engine.execution_options(isolation_level="AUTOCOMMIT"))


def allow_seconds(session: Session, *, seconds: float) -> None:
    """Allow each further statement of this transaction this many seconds, whatever the connection's limit is."""
    session.execute(select(func.set_config("statement_timeout", str(int(1000 * seconds)), True)))
    connection = session.connection().connection.driver_connection
    if isinstance(connection, WatchedConnection):
        connection.allow_transaction(seconds + REPLY_MARGIN_SECONDS)


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """One transaction: commits at the end, rolls back on any exception. The only commit."""
    with sessions() as session, session.begin():
        yield session


def _embedded(settings: Settings) -> EmbeddedServer:
    folder = settings.data_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return embedded_server(folder / "postgres")
    except (OSError, RuntimeError) as error:  # exit code 2: the folder belongs to another version of PostgreSQL
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError | RuntimeError) -> Unavailable:
    reason = getattr(error, "strerror", None) or str(error)
    return Unavailable(
        f"The data folder {folder} cannot be used: {reason}. Choose one that this user may write to with"
        " NEURON_AUDIT_DATA_DIR, or name a PostgreSQL server in DATABASE_URL."
    )
