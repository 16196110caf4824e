"""How well each token alone predicts a neuron: its mean activation over a corpus.

The table is the baseline of an explanation: a text that predicts no better than the tokens' own means says nothing
about context. It also lists a neuron's strongest tokens. Held-out records are subtracted from the sums before the table
predicts them or is shown to an explainer. Near-copies of held-out texts that are in no stored sample stay in the sums,
since nothing records where they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.domain.arrays import Float32s, Float64s, Int32s, Int64s

STRONGEST_TOKENS = 10
"""The number of tokens with the highest mean activation shown on a neuron's page and used in the search by token."""


class Activated(Protocol):
    """The part of a record that this module reads: T tokens and one activation each."""

    @property
    def token_ids(self) -> Int32s:
        """[T]."""

    @property
    def activations(self) -> Float32s:
        """[T], in the model's own units."""


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The M listed tokens of a neuron, with the mean activation and the number of occurrences of each.

    Means are in the model's own units, the highest first. ``others`` is the mean over the occurrences of all other
    tokens, ``n_others`` the number of these occurrences.
    """

    token_ids: Int32s
    means: Float64s
    counts: Int64s
    others: float
    n_others: int

    @classmethod
    def of_corpus(
        cls, token_ids: Int32s, means: Float64s, counts: Int64s, *, mean: float, n_tokens: int
    ) -> "TokenTable":
        """The table of a collection. ``mean`` is the neuron's mean over all ``n_tokens`` of the corpus."""
        n_others = n_tokens - int(counts.sum())
        total = mean * n_tokens - float((means * counts).sum())
        return cls(token_ids, means, counts, total / n_others if n_others > 0 else mean, max(n_others, 0))

    @classmethod
    def of_records(cls, records: Sequence[Activated]) -> "TokenTable":
        """The table of some records, for neurons whose corpus was never read. Raises ValueError for no token.

        A token that is not in the records is predicted at the median over all their tokens.
        """
        tokens = np.concatenate([r.token_ids for r in records])
        values = np.concatenate([r.activations for r in records]).astype(np.float64)
        token_ids, inverse = np.unique(tokens, return_inverse=True)
        counts = np.bincount(inverse)
        means = np.bincount(inverse, values) / counts
        order = np.lexsort((token_ids, -means))
        return cls(token_ids[order], means[order], counts[order], float(np.median(values)), 0)

    def without(self, records: Iterable[Activated]) -> "TokenTable":
        """The table as if these excerpts of the corpus had not been read.

        A token that occurs nowhere else is no longer listed. Stored activations are float16, so that the subtracted
        sums have about three correct digits.
        """
        taken = list(records)
        if not taken:
            return self
        tokens = np.concatenate([r.token_ids for r in taken])
        values = np.concatenate([r.activations for r in taken]).astype(np.float64)
        indices = self._indices(tokens)
        listed = indices >= 0
        counts = self.counts - np.bincount(indices[listed], minlength=len(self.counts))
        totals = self.means * self.counts - np.bincount(indices[listed], values[listed], minlength=len(self.counts))
        n_others = self.n_others - int((~listed).sum())
        others = self.others
        if n_others > 0:
            others = (self.others * self.n_others - float(values[~listed].sum())) / n_others
        kept = counts > 0
        token_ids, counts, means = self.token_ids[kept], counts[kept], totals[kept] / counts[kept]
        order = np.lexsort((token_ids, -means))
        return TokenTable(token_ids[order], means[order], counts[order], others, max(n_others, 0))

    def expected(self, token_ids: Int32s) -> Float32s:
        """The activation that the table predicts for each token, in the model's own units. Same shape as the input."""
        indices = self._indices(token_ids)
        means = np.append(self.means, self.others)
        return np.asarray(means[indices], dtype=np.float32)

    def correlation(self, *, variance: float) -> float | None:
        """Correlation of the table's predictions with the activations over all tokens of its corpus.

        ``variance`` is the neuron's over the corpus. The table predicts tokens whose activations are in its own means,
        so this is the highest correlation that any text with one level per listed token could reach. None for a neuron
        that never varies. The correlation with a conditional mean is the square root of the share of variance between
        groups.
        """
        n = int(self.counts.sum()) + self.n_others
        if n == 0 or variance <= 0:
            return None
        means, counts = np.append(self.means, self.others), np.append(self.counts, self.n_others)
        mean = float(means @ counts) / n
        return float(np.sqrt(min(1.0, float(counts @ (means - mean) ** 2) / n / variance)))

    def strongest(self, n: int) -> tuple[tuple[int, float, int], ...]:
        """(token id, mean activation, count) of the first ``n`` tokens."""
        rows = zip(self.token_ids[:n].tolist(), self.means[:n].tolist(), self.counts[:n].tolist(), strict=True)
        return tuple(rows)

    def _indices(self, token_ids: Int32s) -> Int64s:
        """The index of each token in the table, -1 where it is not listed."""
        if not len(self.token_ids):
            return np.full(np.shape(token_ids), -1, dtype=np.int64)
        order = np.argsort(self.token_ids, kind="stable")
        found = np.minimum(np.searchsorted(self.token_ids[order], token_ids), len(order) - 1)
        indices = order[found]
        return np.asarray(np.where(self.token_ids[indices] == token_ids, indices, -1), dtype=np.int64)
