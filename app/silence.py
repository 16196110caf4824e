"""Connections that are closed when their server no longer responds.

A frozen server keeps its connections: the kernel acknowledges data, so neither TCP keepalives nor timeouts notice; a
Unix socket has none; and statement limits are enforced by the server itself. So after some seconds without a reply, a
connection checks whether the server responds to anybody at all.
"""

import socket
from collections.abc import Generator
from threading import Lock
from time import monotonic
from typing import Any

import psycopg
import structlog
from psycopg.abc import RV, PQGen
from sqlalchemy.engine import Dialect

from app.embedded import RESTART_SECONDS, EmbeddedServer
from app.errors import Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROBE_SECONDS = 1.0
"""Seconds without a response to a new connection after which a server counts as silent."""
REFUSED_SECONDS = 3.0
"""Seconds after a silence was found in which no connection waits for that server: each would find the same."""
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""The first message of a client that asks for encryption; any server responds with one byte."""


class Silence:
    """Whether the server of one engine was just found to be silent. Shared by all its connections."""

    def __init__(self, silent_seconds: float) -> None:
        self.silent_seconds = silent_seconds
        self._until = 0.0
        self._responded = 0.0
        self._probing = Lock()

    @property
    def is_known(self) -> bool:
        """Whether the server was found to be silent less than ``REFUSED_SECONDS`` ago."""
        return monotonic() < self._until

    def note(self) -> None:
        """Record that the server did not respond."""
        if not self.is_known:
            log.warning("database.silent", wait_seconds=REFUSED_SECONDS)
        self._until = monotonic() + REFUSED_SECONDS

    def found_by(self, info: psycopg.ConnectionInfo) -> bool:
        """Whether the server of a connection responds to nobody. Simultaneous callers share one probe."""
        asked = monotonic()
        with self._probing:
            if not self.is_known and self._responded < asked:
                if responds(info.hostaddr or info.host, info.port):
                    self._responded = monotonic()
                else:
                    self.note()
        return self.is_known


def responds(host: str, port: int) -> bool:
    """Whether a PostgreSQL server or proxy responds to a new connection there within ``PROBE_SECONDS``."""
    is_local = host.startswith(("/", "@"))
    address: Any = f"{host}/.s.PGSQL.{port}".replace("@", "\0", 1) if is_local else (host, port)
    family = socket.AF_UNIX if is_local else socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.settimeout(PROBE_SECONDS)
            probe.connect(address)
            probe.sendall(SSL_REQUEST)
            return bool(probe.recv(1))
    except OSError:
        return False


class WatchedConnection(psycopg.Connection[Any]):
    """A connection whose statements raise OperationalError, and which is closed, once its server is silent.

    That is where no reply has come in ``silent_seconds`` and nobody else gets one, or where none has come in
    ``reply_seconds``, beyond the limit that the server itself keeps.
    """

    silence: Silence | None = None
    reply_seconds: float | None = None
    _of_transaction: float | None = None

    def allow_transaction(self, reply_seconds: float) -> None:
        """Wait up to this many seconds for each further reply of this transaction."""
        self._of_transaction = reply_seconds

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Consume a generator, as psycopg does."""
        if self.silence is None:
            return super().wait(gen, *args, **kwargs)
        if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self._of_transaction = None
        return super().wait(self._watched(gen, self.silence), *args, **kwargs)

    def _watched(self, gen: PQGen[RV], silence: Silence) -> Generator[Any, Any, RV]:
        """The same generator, resumed every tenth of a second even if nothing has arrived."""
        longest = self._of_transaction or self.reply_seconds
        heard = look = monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = look = monotonic()
                elif longest is not None and monotonic() - heard > longest:
                    self._give_up()
                elif monotonic() - look > silence.silent_seconds:
                    if silence.found_by(self.info):
                        self._give_up()
                    look = monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            found: RV = end.value
            return found

    def _give_up(self) -> None:
        self.close()
        raise psycopg.OperationalError("The database server does not respond.")


class Connector:
    """Opens the connections of one engine, and restarts the embedded ``server`` if there is one and it has died.

    No limits are set for statements while a connection is set up: that has a limit of its own.
    """

    def __init__(self, server: EmbeddedServer | None, *, silent_seconds: float, reply_seconds: float | None) -> None:
        self._server = server
        self._silence = Silence(silent_seconds)
        self._reply_seconds = reply_seconds

    def connect(self, _dialect: Dialect, _record: object, positional: list[Any], named: dict[str, Any]) -> Any:
        """A connection, for SQLAlchemy's ``do_connect``. Raises OperationalError at once during a silence."""
        if self._silence.is_known:
            raise psycopg.OperationalError("The database server does not respond.")
        try:
            connection = self._opened(positional, named)
        except psycopg.errors.ConnectionTimeout:
            self._silence.note()
            raise
        connection.silence, connection.reply_seconds = self._silence, self._reply_seconds
        return connection

    def _opened(self, positional: list[Any], named: dict[str, Any]) -> WatchedConnection:
        try:
            return WatchedConnection.connect(*positional, **named)
        except psycopg.errors.ConnectionTimeout:
            raise  # it is running
        except psycopg.OperationalError as error:
            if self._server is None:
                raise
            log.warning("database.gone", reason=str(error).strip())
        try:
            self._server.start(seconds=RESTART_SECONDS)
        except Unavailable as error:
            log.warning("database.not_started", reason=error.message)
        return WatchedConnection.connect(*positional, **named)
