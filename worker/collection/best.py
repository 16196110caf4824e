"""The best K excerpts of many rows at once, with their activations.

A score is one 64-bit number; higher is better. Its upper half is the criterion, its lower half the excerpt's ordinal,
inverted. So no two excerpts of a row have the same score, ties go to the first in the corpus, and merging two sets is
exact in any grouping.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32, Int64
from torch import Tensor

EMPTY = torch.iinfo(torch.int64).min
NEVER = torch.iinfo(torch.int32).min
"""The key of an excerpt that must not enter a row."""
LAST = 0xFFFFFFFF
"""The highest ordinal that fits into a score."""
MERGED_ROWS = 1 << 14
"""Rows whose texts are compared at once in a merge; memory is this number times 4 K * K bytes."""


@dataclass(frozen=True, slots=True)
class Best:
    """For each of R rows its best K: scores int64 [R, K], peaks float32 [R, K], values float16 [R, K, T].

    ``bar`` int32 [R]: the upper half of a new excerpt's score must exceed it. It is the upper half of the row's lowest
    score, or a floor set beforehand. Within a row the order is arbitrary; see ``ordered``.

    ``texts`` int64 [R, K], if kept, is the context up to the excerpt's peak (``contexts``). A ``distinct`` row has only
    the best excerpt of each text. Such rows merge exactly: an excerpt among the best K texts of both is among the best
    K of its own row.
    """

    scores: Int64[Tensor, "rows k"]
    peaks: Float[Tensor, "rows k"]
    values: Float[Tensor, "rows k tokens"]
    bar: Int32[Tensor, " rows"]
    texts: Int64[Tensor, "rows k"] | None = None
    distinct: bool = False

    @classmethod
    def empty(
        cls, rows: int, k: int, tokens: int, device: torch.device, *, texts: bool = False, distinct: bool = False
    ) -> "Best":
        """The empty set. ``distinct`` rows keep texts."""
        scores = torch.full((rows, k), EMPTY, dtype=torch.int64, device=device)
        return cls(
            scores,
            torch.zeros((rows, k), device=device),
            torch.zeros((rows, k, tokens), dtype=torch.float16, device=device),
            upper(scores[:, 0]).clone(),
            torch.zeros_like(scores) if texts or distinct else None,
            distinct,
        )

    def rows(self, first: int, last: int) -> "Best":
        """A view of some rows: additions to it change this object."""
        part = slice(first, last)
        texts = None if self.texts is None else self.texts[part]
        return Best(self.scores[part], self.peaks[part], self.values[part], self.bar[part], texts, self.distinct)

    def add(self, keys: Int32[Tensor, "batch rows"], batch: "Batch") -> None:
        """Add those excerpts of a batch that score higher than the row's lowest.

        ``keys`` is the upper half of the scores; the lowest int32 excludes an excerpt from the row. Row r belongs to
        neuron r. Excerpts must come in ascending order of ordinals, also across calls.
        """
        found = (keys > self.bar).nonzero()
        if found.shape[0] == 0:
            return
        excerpt, row = found.unbind(1)
        scores = score(keys[excerpt, row], batch.ordinals[excerpt])
        texts = None if self.texts is None else batch.texts(excerpt, row)
        for chosen in _one_per_row(row):
            own = None if texts is None else texts[chosen]
            self._replace(row[chosen], excerpt[chosen], (scores[chosen], own), batch)
        lowest = upper(self.scores.index_select(0, row).min(dim=1).values)
        self.bar[row] = torch.maximum(self.bar[row], lowest)

    def _replace(self, row: Tensor, excerpt: Tensor, scored: tuple[Tensor, Tensor | None], batch: "Batch") -> None:
        """Put one candidate per row into the slot of the row's lowest score, or into that of the same text."""
        scores, texts = scored
        replaced, slot = self.scores.index_select(0, row).min(dim=1)
        if self.distinct and texts is not None:
            same = (self.known_texts[row] == texts[:, None]) & (self.scores[row] != EMPTY)
            slot = torch.where(same.any(dim=1), same.to(torch.int8).argmax(dim=1), slot)
            replaced = self.scores[row, slot]
        better = (scores > replaced).nonzero()[:, 0]
        row, excerpt, slot = row[better], excerpt[better], slot[better]
        self.scores[row, slot] = scores[better]
        self.peaks[row, slot] = batch.peaks[excerpt, row]
        self.values[row, slot] = batch.activations[excerpt, : self.values.shape[2], row].to(torch.float16)
        if self.texts is not None and texts is not None:
            self.texts[row, slot] = texts[better]

    @property
    def known_texts(self) -> Int64[Tensor, "rows k"]:
        """The texts of a set that keeps them. Raises TypeError if it does not."""
        if self.texts is None:
            raise TypeError("this pool keeps no texts")
        return self.texts

    def merge(self, other: "Best") -> None:
        """Add the set of another pass over other excerpts."""
        k = self.scores.shape[1]
        scores, order = torch.cat([self.scores, other.scores], dim=1).sort(dim=1, descending=True)
        if self.texts is not None and other.texts is not None:
            texts = torch.cat([self.texts, other.texts], dim=1).gather(1, order)
            if self.distinct:
                scores[_repeated(scores, texts)] = EMPTY
                scores, again = scores.sort(dim=1, descending=True)
                order, texts = order.gather(1, again), texts.gather(1, again)
            self.texts.copy_(texts[:, :k].masked_fill(scores[:, :k] == EMPTY, 0))
        scores, order = scores[:, :k], order[:, :k]
        gone = scores == EMPTY
        peaks = torch.cat([self.peaks, other.peaks], dim=1).gather(1, order)
        wide = order[:, :, None].expand(-1, -1, self.values.shape[2])
        values = torch.cat([self.values, other.values], dim=1).gather(1, wide)
        self.scores.copy_(scores)
        # Empty slots are all zeros, so that equal sets have equal bytes.
        self.peaks.copy_(peaks.masked_fill(gone, 0))
        self.values.copy_(values.masked_fill(gone[:, :, None], 0))
        torch.maximum(torch.maximum(self.bar, other.bar), upper(scores[:, -1]), out=self.bar)

    def ordered(self) -> "Best":
        """The same set, best first within each row; empty slots last."""
        scores, order = self.scores.sort(dim=1, descending=True)
        wide = order[:, :, None].expand(-1, -1, self.values.shape[2])
        texts = None if self.texts is None else self.texts.gather(1, order)
        return Best(
            scores, self.peaks.gather(1, order), self.values.gather(1, wide), self.bar, texts, distinct=self.distinct
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of excerpts on one layer. ``ordinals`` int64 [B] ascend; ``peaks`` [B, N]; ``activations`` [B, T, N].

    ``contexts`` int64 [B, T] is the context up to each token; see ``contexts``.
    """

    ordinals: Int64[Tensor, " batch"]
    peaks: Float[Tensor, "batch n"]
    activations: Float[Tensor, "batch tokens n"]
    contexts: Int64[Tensor, "batch tokens"] | None = None

    def texts(self, excerpt: Int64[Tensor, " n"], neuron: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """The contexts up to the peaks of (excerpt, neuron) pairs."""
        if self.contexts is None:
            raise TypeError("this batch has no contexts")
        return self.contexts[excerpt, self.activations[excerpt, :, neuron].argmax(dim=1)]


def score(keys: Int32[Tensor, " n"], ordinals: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Scores with keys in the upper half and inverted ordinals in the lower: of equal keys the lower ordinal wins."""
    return (keys.to(torch.int64) << 32) | (LAST - ordinals)


def upper(scores: Int64[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
    """The keys of scores."""
    return (scores >> 32).to(torch.int32)


def ordinals_of(scores: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """The ordinals of scores; -1 for an empty slot."""
    return torch.where(scores == EMPTY, -1, LAST - (scores & LAST))


def sortable(values: Float[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
    """float32 mapped to integers of the same order (IEEE 754 bit patterns; -0 becomes 0)."""
    bits = (values + 0.0).view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def unsortable(keys: Int32[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The inverse of ``sortable``."""
    return (keys ^ ((keys >> 31) & 0x7FFFFFFF)).view(torch.float32)


def _repeated(scores: Int64[Tensor, "rows k"], texts: Int64[Tensor, "rows k"]) -> Bool[Tensor, "rows k"]:
    """Positions of texts that a higher score of the row already has. ``scores`` descend within a row."""
    found = torch.zeros_like(scores, dtype=torch.bool)
    earlier = torch.ones((scores.shape[1], scores.shape[1]), dtype=torch.bool, device=scores.device).tril(-1)
    for first in range(0, scores.shape[0], MERGED_ROWS):
        part = slice(first, first + MERGED_ROWS)
        held = texts[part].masked_fill(scores[part] == EMPTY, EMPTY)
        same = (held[:, :, None] == held[:, None, :]) & (held != EMPTY)[:, :, None]
        found[part] = (same & earlier).any(dim=2)
    return found


def _one_per_row(row: Int[Tensor, " n"]) -> Iterator[Tensor]:
    """Split candidates into rounds in which no row occurs twice, preserving the order within a row."""
    by_row, order = torch.sort(row, stable=True)
    _, counts = torch.unique_consecutive(by_row, return_counts=True)
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.arange(len(row), device=row.device) - first
    for turn in range(int(counts.max())):
        # Sorted by excerpt again, whose activations are adjacent in memory.
        yield order[rank == turn].sort().values
