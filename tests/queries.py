"""Which queries a page sends, and what they read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import Connection, Engine, event

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


@contextmanager
def kept_statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that SQLAlchemy sends while the block runs, with their values: to be planned again."""
    sent: list[tuple[str, Any]] = []

    def keep(*arguments: Any) -> None:
        sent.append((arguments[2], arguments[3]))

    event.listen(connection.engine, "before_cursor_execute", keep)
    yield sent
    event.remove(connection.engine, "before_cursor_execute", keep)


def plan_of(connection: Connection, statement: str, values: Any) -> str:
    """The plan that the database makes for a statement, as it prints it."""
    return "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars())


def rows_read(connection: Connection, statement: str, values: Any) -> int:
    """How many rows a statement reads from tables and indexes, those that it rejects included.

    A bound on it says what the name of an index in a plan only suggests, and holds whichever index the planner
    takes: that depends on statistics, which the database renews when it likes.
    """
    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar_one()
    nodes, n_rows = [plan[0]["Plan"]], 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        removed = sum(value for key, value in node.items() if key.startswith("Rows Removed by"))
        n_rows += 0 if "Plans" in node else int((node["Actual Rows"] + removed) * node["Actual Loops"])
    return n_rows
