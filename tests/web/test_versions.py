"""The version is read over one connection, and a look is shared only by those who came before it began."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import insert

from app.db import CONNECT_SECONDS, Sessions, transaction
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


def test_a_look_that_has_begun_is_not_shared(fresh_database: str) -> None:
    began: list[int] = []

    class Counted(ConnectionVersions):
        async def _read(self) -> int | None:
            began.append(len(began))
            await asyncio.sleep(0.05)
            return began[-1]

    async def main() -> list[int | None]:
        versions = Counted(fresh_database)
        first = asyncio.create_task(versions.current())
        while not began:
            await asyncio.sleep(0)
        later = [asyncio.create_task(versions.current()) for _ in range(5)]
        return [await first, *[await each for each in later]]

    assert asyncio.run(main()) == [0, 1, 1, 1, 1, 1]


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


def test_who_comes_during_a_look_that_times_out_does_not_wait_for_another(fresh_database: str) -> None:
    began: list[int] = []

    class Silent(ConnectionVersions):
        async def _read(self) -> int | None:
            began.append(len(began))
            raise TimeoutError

    async def main() -> list[int | None]:
        versions = Silent(fresh_database)
        return [*await asyncio.gather(*(versions.current() for _ in range(3))), await versions.current()]

    assert asyncio.run(main()) == [None] * 4
    assert began == [0]


def test_a_page_gives_up_within_the_time_after_which_it_is_to_be_tried_again() -> None:
    statement_seconds = Settings.model_fields["statement_seconds"].default
    assert LOOK_SECONDS + max(CONNECT_SECONDS, POOL_SECONDS + statement_seconds) < float(RETRY_AFTER)


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
