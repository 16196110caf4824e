"""The text that a loaded subject was collected on, as far as it is needed of it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class CorpusExcerpts(Protocol):
    """The excerpts of a corpus by ordinal."""

    @property
    def n_excerpts(self) -> int:
        """How many there are."""
        ...

    def tokens(self, ordinals: NDArray[np.int64]) -> NDArray[np.int32]:
        """Token ids [len(ordinals), T]."""
        ...
