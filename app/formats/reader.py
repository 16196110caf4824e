"""The interface of every reader of a format."""

from collections.abc import Iterator
from typing import Protocol

from app.formats.problems import Refuse
from app.formats.records import NeuronRecord
from app.formats.streams import Entry


class Reader(Protocol):
    """Yields the neurons of a format's files, one record at a time."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may hold neurons."""

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[NeuronRecord]:
        """The neurons of a file, in its order; of a file of lines those after line ``after``.

        What is malformed goes to ``refuse``, and reading continues.
        """
