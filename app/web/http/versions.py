"""The version of what pages show, as this server reads it before it makes a page or says that one is unchanged."""

import asyncio
from time import monotonic
from typing import Protocol

import psycopg
import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from app.db import CONNECT_SECONDS, Sessions
from app.queries.common.versions import CONTENT_VERSION, content_version

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOK_SECONDS = 0.5
"""After so long a page is made without a version: it can be sent, but not said to be unchanged."""
SILENT_SECONDS = 5.0
"""For so long after a look that timed out nobody waits for another: a request that has waited for two of them, and then
for a connection, would be answered too late."""


class Versions(Protocol):
    """Where the version is read."""

    async def current(self) -> int | None:
        """The version at some moment after the call; None where the database does not say."""

    async def close(self) -> None:
        """Release what is held."""


class SessionVersions:
    """Reads it by the sessions of pages: in a thread, over one of their connections."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def current(self) -> int | None:
        """The version now. None where the database is away."""
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
    """Reads it on the event loop over a connection of its own: no thread, and one look for all who wait for it.

    A request shares a look that begins after the request has come, never one that has begun already: what was stored
    before the request is in the version.
    """

    def __init__(self, url: str) -> None:
        self._address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.AsyncConnection[tuple[int]] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[int | None] | None = None
        self._silent_until = 0.0

    async def current(self) -> int | None:
        """The version at some moment after the call. None where the database is away or slow, or has just been slow."""
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        return await asyncio.shield(self._next)

    async def _look(self) -> int | None:
        async with self._one_at_a_time:
            self._next = None  # who comes from now on needs a later look
            if monotonic() < self._silent_until:
                return None
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._read()
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("version.unknown", reason=str(error).strip() or type(error).__name__)
                if isinstance(error, TimeoutError):
                    self._silent_until = monotonic() + SILENT_SECONDS
                await self.close()
                return None

    async def _read(self) -> int | None:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._address, autocommit=True, connect_timeout=CONNECT_SECONDS
            )
        cursor = await self._connection.execute(CONTENT_VERSION, binary=True, prepare=True)
        row = await cursor.fetchone()
        return None if row is None else row[0]

    async def close(self) -> None:
        """Close the connection; the next look opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
