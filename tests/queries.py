"""Which queries a page sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import Engine, event

from app.queries.common import prepared


@contextmanager
def counted_queries(engine: Engine) -> Iterator[list[str]]:
    """The SELECT statements that are sent while the block runs, past SQLAlchemy's execution or through it."""
    sent: list[str] = []
    ask = prepared.ask

    def note(text: str) -> None:
        if text.startswith("SELECT"):
            sent.append(text)

    def on_execute(*arguments: Any) -> None:
        note(arguments[2])

    def on_ask(connection: psycopg.Connection[Any], bound: prepared.BoundSelect[Any]) -> psycopg.Cursor[Any]:
        note(bound.text)
        return ask(connection, bound)

    event.listen(engine, "before_cursor_execute", on_execute)
    with patch.object(prepared, "ask", on_ask):
        yield sent
    event.remove(engine, "before_cursor_execute", on_execute)
