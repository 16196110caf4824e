"""The sum of every neuron's activations on each token: rows of sums for the most frequent tokens of a corpus.

A row per token and a column per neuron would be 15 GB for a model of 50,000 tokens and 25,000 neurons. So as many
tokens as the given memory allows have a row of their own, the most frequent first, and all others share one. What is
summed is a whole number of units of 2**-16 of the neuron's range (``bounds``): sums of whole numbers are exact in any
order and grouping.
"""

from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Int32s, Int64s
from worker.collection.plan import Excerpts, Plan

BYTES_PER_SUM = 12
"""An int64 of the state, and an int32 in which compiled loops add up."""
GIGABYTES = 2.0
"""The memory for all sums where none is given."""
_COUNTED_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Which row of the sums each token has. R tokens have one of their own; row R is all others'.

    ``rows`` int32 by token id; ``token_ids`` and ``counts`` [R] are the listed tokens and their occurrences in the
    corpus, the most frequent first. ``n_others`` counts the occurrences of all others.
    """

    rows: Int32s
    token_ids: Int32s
    counts: Int64s
    n_others: int

    @property
    def n_rows(self) -> int:
        """Rows of the sums, that of the other tokens with them."""
        return len(self.token_ids) + 1

    def of(self, token_ids: Int32s) -> Int32s:
        """The row of each token. Same shape."""
        return self.rows[token_ids]

    @property
    def is_whole(self) -> bool:
        """Whether every token of the corpus has a row."""
        return self.n_others == 0


def token_rows(excerpts: Excerpts, plan: Plan, *, n_neurons: int, gigabytes: float = GIGABYTES) -> TokenRows:
    """Rows for the most frequent tokens of a corpus, as many as fit; ties go to the lower token id."""
    counts = np.zeros(1, dtype=np.int64)
    for first in range(0, plan.n_excerpts, _COUNTED_AT_ONCE):
        part = range(first, min(first + _COUNTED_AT_ONCE, plan.n_excerpts))
        found = np.bincount(excerpts.tokens(part).ravel(), minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    most = max(1, int(gigabytes * 1e9 / (BYTES_PER_SUM * n_neurons)) - 1)
    order = np.lexsort((np.arange(len(counts)), -counts))
    listed = order[: min(most, int((counts > 0).sum()))]
    rows = np.full(len(counts), len(listed), dtype=np.int32)
    rows[listed] = np.arange(len(listed), dtype=np.int32)
    return TokenRows(rows, listed.astype(np.int32), counts[listed], int(counts.sum() - counts[listed].sum()))
