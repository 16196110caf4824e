"""Pages of a list by keyset: the next page starts after the last row shown, so a deep page reads no more rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.bounds import BIGGEST_ID
from app.errors import Invalid

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a list's rows, with the cursors of the adjacent pages; None if there is no such page."""

    rows: tuple[Row, ...]
    previous: str | None = None
    """Cursor to pass as ``before`` for the previous page."""
    next: str | None = None
    """Cursor to pass as ``after`` for the next page."""


class HasId(Protocol):
    """A row that has an id."""

    @property
    def id(self) -> int: ...


IdRow = TypeVar("IdRow", bound=HasId)

Read: TypeAlias = Callable[[Sequence[ColumnElement[bool]], bool, int], list[IdRow]]
"""Function from conditions, a direction (newest first?) and a limit to rows."""


def id_page(
    read: Read[IdRow], column: InstrumentedAttribute[int], *, size: int, after: str | None, before: str | None
) -> Page[IdRow]:
    """A page of a list that shows the highest id first. Raises Invalid for a malformed cursor."""
    if before is not None:
        rows = read([column > _parse_id(before)], False, size + 1)
        shown = rows[:size][::-1]
        return Page(
            tuple(shown),
            previous=str(shown[0].id) if len(rows) > size else None,
            next=str(shown[-1].id) if shown else None,
        )
    rows = read([] if after is None else [column < _parse_id(after)], True, size + 1)
    shown = rows[:size]
    return Page(
        tuple(shown),
        previous=str(shown[0].id) if shown and after is not None else None,
        next=str(shown[-1].id) if len(rows) > size else None,
    )


def damaged_cursor() -> Invalid:
    """The error for a malformed cursor."""
    return Invalid("This page's address is damaged. Start again from the first page of the list.")


def _parse_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= BIGGEST_ID):
        raise damaged_cursor()
    return int(text)
