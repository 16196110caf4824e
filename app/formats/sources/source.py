"""What every source of files gives: its files in an order that stays the same, and how far it has been read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from app.formats.problems import Refuse
from app.formats.streams import Entry


@dataclass(frozen=True, slots=True)
class Position:
    """The file up to which a source has been read: the ordinal of its entry, counted from 1, and its name."""

    ordinal: int
    name: str


class Source(Protocol):
    """Files in an order that is the same at every reading of the same files."""

    @property
    def name(self) -> str:
        """The name of the source, as a person gave it."""

    @property
    def progress(self) -> float:
        """Share of it that has been read, 0..1."""

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """The files after a position, each to be read before the next one is asked for.

        What may not be read is refused. Raises Invalid where there is nothing at all, Unavailable where it cannot be
        reached.
        """
