"""Which queries a page sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import Engine, event

from app.queries.common import prepared
from app.queries.common.versions import CONTENT_VERSION


@contextmanager
def counted_queries(engine: Engine, *, with_version: bool = False) -> Iterator[list[str]]:
    """The statements that are sent while the block runs, past SQLAlchemy's execution or through it.

    The look at the version is among them ``with_version`` only: requests share it, and it is no page's own.
    """
    sent: list[str] = []
    execute = prepared.execute

    def note(text: str) -> None:
        if text.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):  # of the test's own transaction
            return
        if with_version or text != CONTENT_VERSION:
            sent.append(text)

    def on_execute(*arguments: Any) -> None:
        note(arguments[2])

    def on_prepared(connection: psycopg.Connection[Any], bound: prepared.BoundSelect[Any]) -> psycopg.Cursor[Any]:
        note(bound.text)
        return execute(connection, bound)

    event.listen(engine, "before_cursor_execute", on_execute)
    with patch.object(prepared, "execute", on_prepared):
        yield sent
    event.remove(engine, "before_cursor_execute", on_execute)
