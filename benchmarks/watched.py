"""The statements that pages send: how many, how long each takes, and the plans of the slowest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import Engine, event

from app.queries.common import prepared


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement, as the driver takes it, and how long it took. In a pipeline that is the time to send it."""

    text: str
    parameters: Any
    seconds: float


@dataclass(slots=True)
class Watched:
    """All statements that were sent since ``clear``."""

    sent: list[Sent] = field(default_factory=list)

    def clear(self) -> None:
        """Forget them."""
        self.sent.clear()


@contextmanager
def watched(engine: Engine) -> Iterator[Watched]:
    """Watch the statements of this process, past SQLAlchemy's execution or through it."""
    found, execute = Watched(), prepared.execute

    def before(_connection: Any, _cursor: Any, _text: Any, _parameters: Any, context: Any, _many: Any) -> None:
        context._started = perf_counter()

    def after(_connection: Any, _cursor: Any, text: str, parameters: Any, context: Any, _many: Any) -> None:
        found.sent.append(Sent(text, parameters, perf_counter() - context._started))

    def on_prepared(connection: psycopg.Connection[Any], bound: prepared.BoundSelect[Any]) -> psycopg.Cursor[Any]:
        started = perf_counter()
        cursor = execute(connection, bound)
        found.sent.append(Sent(bound.text, bound.parameters, perf_counter() - started))
        return cursor

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    with patch.object(prepared, "execute", on_prepared):
        yield found
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)


def plan_of(url: str, sent: Sent) -> list[str]:
    """The plan of a statement that only reads, with its times and the blocks it reads. Empty for any other."""
    if not sent.text.lstrip().upper().startswith(("SELECT", "WITH")):
        return []
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sent.text}".encode(), sent.parameters or None)
        return [str(row[0]) for row in rows]
