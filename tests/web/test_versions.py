"""The version is read over one connection, and a look is shared only by those who came before it began."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from psycopg.pq.abc import PGconn
from sqlalchemy import insert, text

from app.db import CONNECT_SECONDS, REPLY_MARGIN_SECONDS, Sessions, transaction
from app.models import Account
from app.queries.common.versions import content_version
from app.settings import Settings
from app.web.http.security import RETRY_AFTER
from app.web.http.versions import LOOK_SECONDS, ConnectionVersions, SessionVersions
from app.web.main import POOL_SECONDS


def run(url: str, using: Callable[[ConnectionVersions], Coroutine[Any, Any, Any]]) -> Any:
    """What a coroutine finds with the versions of a database."""

    async def main() -> Any:
        versions = ConnectionVersions(url)
        try:
            return await using(versions)
        finally:
            await versions.close()

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may take its time to open: only a test of the limit has a short one."""
    monkeypatch.setattr("app.web.http.versions.LOOK_SECONDS", 120.0)


def add(sessions: Sessions, name: str) -> None:
    with transaction(sessions) as session:
        session.execute(insert(Account).values(name=name, role="viewer"))


def test_both_readers_find_the_same(fresh_database: str, fresh_sessions: Sessions) -> None:
    add(fresh_sessions, "zoe")

    async def both(versions: ConnectionVersions) -> tuple[int | None, int | None]:
        return await versions.current(), await SessionVersions(fresh_sessions).current()

    with fresh_sessions() as session:
        version = content_version(session)
    assert run(fresh_database, both) == (version, version)


def test_every_change_is_in_the_next_look(fresh_database: str, fresh_sessions: Sessions) -> None:
    async def looks(versions: ConnectionVersions) -> list[int | None]:
        found = [await versions.current()]
        for name in ("zoe", "yan", "xia"):
            await asyncio.to_thread(add, fresh_sessions, name)
            found.append(await versions.current())
        return found

    found = run(fresh_database, looks)
    assert found == sorted(set(found))


class Held(ConnectionVersions):
    """Sends a look only when the test lets it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begun: list[PGconn] = []

    def _send(self, pgconn: PGconn) -> None:
        self.begun.append(pgconn)

    async def first(self) -> None:
        """Return once a look has begun."""
        async with asyncio.timeout(120):
            while not self.begun:
                await asyncio.sleep(0.001)

    def release(self) -> None:
        super()._send(self.begun[-1])


def test_a_look_that_has_begun_is_not_shared(fresh_database: str, fresh_sessions: Sessions) -> None:
    async def main() -> tuple[int | None, list[int | None], int]:
        versions = Held(fresh_database)
        first = asyncio.create_task(versions.current())
        await versions.first()
        later = [asyncio.create_task(versions.current()) for _ in range(5)]
        await asyncio.sleep(0)
        versions.release()
        found = await first
        await asyncio.to_thread(add, fresh_sessions, "zoe")
        versions.release()
        others = [await each for each in later]
        await versions.close()
        return found, others, len(versions.begun)

    found, others, n_looks = asyncio.run(main())
    assert found is not None
    assert len({*others}) == 1
    assert others[0] is not None
    assert others[0] > found
    assert n_looks == 2


def test_who_comes_in_one_turn_of_the_loop_shares_a_look(fresh_database: str) -> None:
    async def main() -> tuple[list[int | None], int]:
        versions = Held(fresh_database)
        asked = [asyncio.create_task(versions.current()) for _ in range(5)]
        await versions.first()
        versions.release()
        found = [await each for each in asked]
        await versions.close()
        return found, len(versions.begun)

    found, n_looks = asyncio.run(main())
    assert len({*found}) == n_looks == 1


@pytest.mark.parametrize("broken", ["SELECT pg_terminate_backend({})", "SELECT pg_cancel_backend({})"])
def test_a_connection_that_ends_between_looks_is_replaced(
    fresh_database: str, fresh_sessions: Sessions, broken: str
) -> None:
    def end(pid: int) -> None:
        with fresh_sessions() as session:
            session.execute(text(broken.format(pid)))

    async def looks(versions: ConnectionVersions) -> list[int | None]:
        first = await versions.current()
        assert versions._connection is not None
        await asyncio.to_thread(end, versions._connection.pgconn.backend_pid)
        await asyncio.sleep(0.05)
        return [first, await versions.current() or await versions.current()]

    first, second = run(fresh_database, looks)
    assert first == second


def test_a_request_that_ends_takes_no_other_along(fresh_database: str) -> None:
    async def looks(versions: ConnectionVersions) -> tuple[bool, int | None]:
        first, second = (asyncio.create_task(versions.current()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        found = await second
        with pytest.raises(asyncio.CancelledError):
            await first
        return first.cancelled(), found

    cancelled, found = run(fresh_database, looks)
    assert cancelled
    assert found is not None


def test_who_comes_during_a_look_that_times_out_does_not_wait_for_another(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> tuple[list[int | None], int]:
        versions = Held(fresh_database)
        before = asyncio.create_task(versions.current())
        await versions.first()
        versions.release()
        assert await before is not None
        versions.begun.clear()
        monkeypatch.setattr("app.web.http.versions.LOOK_SECONDS", 0.2)
        first = asyncio.create_task(versions.current())
        await versions.first()
        later = [asyncio.create_task(versions.current()) for _ in range(3)]
        found = [await first, *[await each for each in later], await versions.current()]
        await versions.close()
        return found, len(versions.begun)

    assert asyncio.run(main()) == ([None] * 5, 1)


def test_a_page_gives_up_within_the_time_after_which_it_is_to_be_tried_again() -> None:
    statement_seconds = Settings.model_fields["statement_seconds"].default
    assert LOOK_SECONDS + POOL_SECONDS + max(CONNECT_SECONDS, statement_seconds + REPLY_MARGIN_SECONDS) < float(
        RETRY_AFTER
    )


def test_a_database_that_is_away_gives_no_version_and_is_tried_again(fresh_database: str) -> None:
    async def looks(versions: ConnectionVersions) -> list[int | None]:
        found = [await versions.current()]
        address, versions._address = versions._address, "postgresql://nobody@localhost:1/none"
        await versions.close()
        found.append(await versions.current())
        versions._address = address
        found.append(await versions.current())
        return found

    first, second, third = run(fresh_database, looks)
    assert first is not None
    assert second is None
    assert third == first
