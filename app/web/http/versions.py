"""The version of the data that pages show, read before a page is made or reported as unchanged."""

import asyncio
from time import monotonic
from typing import Protocol, TypeAlias

import psycopg
import structlog
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from app.db import CONNECT_SECONDS, Sessions
from app.queries.common.versions import CONTENT_VERSION, content_version

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Waiter: TypeAlias = "asyncio.Future[int | None]"
_STATEMENT = b"content_version"
LOOK_SECONDS = 0.5
"""Seconds after which a page is made without a version, so that it cannot be reported as unchanged."""
SILENT_SECONDS = 5.0
"""For so long after a look that timed out nobody waits for another: a request that has waited for two of them, and then
for a connection, would be answered too late."""


class Versions(Protocol):
    """Where the version is read."""

    async def current(self) -> int | None:
        """The version at some time after the call; None if the database does not answer."""

    async def close(self) -> None:
        """Release what is held."""


class SessionVersions:
    """Reads the version through the sessions of pages: in a thread, over one of their connections."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def current(self) -> int | None:
        """The present version; None if the database is unreachable."""
        return await run_in_threadpool(self._read)

    def _read(self) -> int | None:
        try:
            with self._sessions() as session:
                return content_version(session)
        except DBAPIError:
            return None

    async def close(self) -> None:
        """Nothing is held."""


class ConnectionVersions:
    """Reads the version on the event loop over its own connection, by one query for all waiting requests.

    A request shares only a query that begins after the request has arrived, so that the version includes everything
    stored before. Statement and reply go through libpq directly, with one callback that stays registered: a task per
    query, and the driver's own waiting, cost more than the rest of an unchanged page.
    """

    def __init__(self, url: str) -> None:
        self._address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._coming: list[Waiter] = []
        """Requests whose query has not begun."""
        self._waiting: list[Waiter] = []
        """Requests whose query is in progress."""
        self._limit: asyncio.TimerHandle | None = None
        self._found: int | None = None
        self._silent_until = 0.0

    async def current(self) -> int | None:
        """The version at some time after the call. None if the database is unreachable or slow, or was just before."""
        if monotonic() < self._silent_until:
            return None
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        if not self._coming and not self._waiting:
            loop.call_soon(self._begin)  # together with all requests that arrive in this turn of the loop
        self._coming.append(waiter)
        return await waiter

    def _begin(self) -> None:
        """Begin a query for all waiting requests."""
        if self._connection is None:
            if self._opening is None:
                self._opening = asyncio.get_running_loop().create_task(self._open())
            return
        self._waiting, self._coming = self._coming, []
        self._limit = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._fail, TimeoutError("no reply"))
        try:
            self._send(self._connection.pgconn)
        except psycopg.Error as error:
            self._fail(error)

    def _send(self, pgconn: PGconn) -> None:
        """Send the query; ``_read`` is called when the reply arrives."""
        pgconn.send_query_prepared(_STATEMENT, None, result_format=Format.BINARY)
        pgconn.flush()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                connection = await psycopg.AsyncConnection.connect(
                    self._address, autocommit=True, connect_timeout=CONNECT_SECONDS
                )
                await connection.execute(f"PREPARE {_STATEMENT.decode()} AS {CONTENT_VERSION}", prepare=False)
        except (psycopg.Error, OSError, TimeoutError) as error:
            self._opening = None
            self._fail(error)
            return
        self._connection, self._opening = connection, None
        asyncio.get_running_loop().add_reader(connection.pgconn.socket, self._read)
        self._begin()

    def _read(self) -> None:
        """Read the data that the database has sent."""
        if self._connection is None:
            return
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._finish(self._found)
                    return
                value = result.get_value(0, 0) if result.status == ExecStatus.TUPLES_OK else None
                if value is None:
                    raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
                self._found = int.from_bytes(value, "big", signed=True)
        except psycopg.Error as error:
            self._fail(error)

    def _finish(self, version: int | None) -> None:
        """Wake the waiting requests, and start another query for those that have arrived since."""
        if self._limit is not None:
            self._limit.cancel()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():  # its request may have ended
                waiter.set_result(version)
        if self._coming:
            self._begin()

    def _fail(self, error: Exception) -> None:
        """Return None to all waiting requests; the next query opens a new connection."""
        log.warning("version.unknown", reason=str(error).strip() or type(error).__name__)
        if isinstance(error, TimeoutError):
            self._silent_until = monotonic() + SILENT_SECONDS
        self._disconnect()
        self._waiting += self._coming
        self._coming = []
        self._finish(None)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            asyncio.get_running_loop().remove_reader(connection.pgconn.socket)
            connection.pgconn.finish()

    async def close(self) -> None:
        """Close the connection; the next query opens a new one."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        self._disconnect()
