"""The text that a loaded subject was collected on, as far as it is needed of it."""

from typing import Protocol

from app.domain.arrays import Int32s, Int64s


class CorpusExcerpts(Protocol):
    """The excerpts of a corpus by ordinal."""

    @property
    def n_excerpts(self) -> int:
        """How many there are."""
        ...

    def tokens(self, ordinals: Int64s) -> Int32s:
        """Token ids [len(ordinals), T]."""
        ...
