"""Pages of a list that is read by keyset: the next page starts after the last row, whatever its number."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, with the cursors of its neighbours; None where there is no neighbour."""

    rows: tuple[Row, ...]
    previous: str | None = None
    """Give it as ``before`` to get the page before this one."""
    next: str | None = None
    """Give it as ``after`` to get the page after this one."""
