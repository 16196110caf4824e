"""The best K excerpts of many rows at once, with their activations.

A score is one 64-bit number, the higher the better: what counts in its upper half, the excerpt's
ordinal, turned round, in its lower half. So no two excerpts of a row have the same score, ties go to
the excerpt that stands first in the corpus, and merging two sets is exact whatever the grouping.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor

EMPTY = torch.iinfo(torch.int64).min
NEVER = torch.iinfo(torch.int32).min
"""The key of an excerpt that does not belong in a row."""
LAST = 0xFFFFFFFF
"""The highest ordinal that a score can hold."""


@dataclass(frozen=True, slots=True)
class Best:
    """For each of R rows its best K: scores int64 [R, K], peaks float32 [R, K], values float16 [R, K, T].

    ``bar`` int32 [R] is what the upper half of a newcomer's score must exceed: that of the row's lowest
    score, or a floor set beforehand. Within a row the order is free; see ``ordered``.
    """

    scores: Int64[Tensor, "rows k"]
    peaks: Float[Tensor, "rows k"]
    values: Float[Tensor, "rows k tokens"]
    bar: Int32[Tensor, " rows"]

    @classmethod
    def empty(cls, rows: int, k: int, tokens: int, device: torch.device) -> "Best":
        """No excerpts yet."""
        scores = torch.full((rows, k), EMPTY, dtype=torch.int64, device=device)
        return cls(
            scores,
            torch.zeros((rows, k), device=device),
            torch.zeros((rows, k, tokens), dtype=torch.float16, device=device),
            upper(scores[:, 0]).clone(),
        )

    def rows(self, first: int, last: int) -> "Best":
        """A view of some rows; what is added to it is added to all."""
        part = slice(first, last)
        return Best(self.scores[part], self.peaks[part], self.values[part], self.bar[part])

    def add(self, keys: Int32[Tensor, "batch rows"], batch: "Batch") -> None:
        """Let the excerpts of a batch in where they are good enough.

        ``keys`` is the upper half of the scores; the lowest number stands for: not in this row. Rows may
        be several times the batch's neurons: row r is about neuron r mod N. Excerpts must come in
        ascending order of ordinals, also from call to call.
        """
        found = (keys > self.bar).nonzero()
        if found.shape[0] == 0:
            return
        excerpt, row = found.unbind(1)
        scores = score(keys[excerpt, row], batch.ordinals[excerpt])
        for chosen in _one_per_row(row):
            self._replace(row[chosen], excerpt[chosen], scores[chosen], batch)
        lowest = upper(self.scores.index_select(0, row).min(dim=1).values)
        self.bar[row] = torch.maximum(self.bar[row], lowest)

    def _replace(self, row: Tensor, excerpt: Tensor, scores: Tensor, batch: "Batch") -> None:
        lowest, slot = self.scores.index_select(0, row).min(dim=1)
        better = (scores > lowest).nonzero()[:, 0]
        if better.shape[0] < row.shape[0]:
            row, excerpt, slot, scores = row[better], excerpt[better], slot[better], scores[better]
        neuron = row % batch.peaks.shape[1]
        self.scores[row, slot] = scores
        self.peaks[row, slot] = batch.peaks[excerpt, neuron]
        self.values[row, slot] = batch.activations[excerpt, :, neuron].to(torch.float16)

    def merge(self, other: "Best") -> None:
        """Take in what another pass over other excerpts has kept."""
        k = self.scores.shape[1]
        scores, order = torch.cat([self.scores, other.scores], dim=1).topk(k, dim=1)
        peaks = torch.cat([self.peaks, other.peaks], dim=1).gather(1, order)
        wide = order[:, :, None].expand(-1, -1, self.values.shape[2])
        values = torch.cat([self.values, other.values], dim=1).gather(1, wide)
        self.scores.copy_(scores)
        self.peaks.copy_(peaks)
        self.values.copy_(values)
        torch.maximum(torch.maximum(self.bar, other.bar), upper(scores[:, -1]), out=self.bar)

    def ordered(self) -> "Best":
        """The same, best first within each row; empty places last."""
        scores, order = self.scores.sort(dim=1, descending=True)
        wide = order[:, :, None].expand(-1, -1, self.values.shape[2])
        return Best(scores, self.peaks.gather(1, order), self.values.gather(1, wide), self.bar)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some excerpts on one layer. ``ordinals`` int64 [B] ascend; ``peaks`` [B, N]; ``activations`` [B, T, N]."""

    ordinals: Int64[Tensor, " batch"]
    peaks: Float[Tensor, "batch n"]
    activations: Float[Tensor, "batch tokens n"]


def score(keys: Int32[Tensor, " n"], ordinals: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Keys above, ordinals turned round below: of equal keys the lower ordinal wins."""
    return (keys.to(torch.int64) << 32) | (LAST - ordinals)


def upper(scores: Int64[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
    """The keys of scores."""
    return (scores >> 32).to(torch.int32)


def ordinals_of(scores: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """The excerpts of scores; -1 for an empty place."""
    return torch.where(scores == EMPTY, -1, LAST - (scores & LAST))


def sortable(values: Float[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
    """float32 as whole numbers of the same order (IEEE 754 bit patterns; -0 counts as 0)."""
    bits = (values + 0.0).view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _one_per_row(row: Int[Tensor, " n"]) -> Iterator[Tensor]:
    """Split candidates into rounds in which no row occurs twice, keeping the order within a row."""
    by_row, order = torch.sort(row, stable=True)
    _, counts = torch.unique_consecutive(by_row, return_counts=True)
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.arange(len(row), device=row.device) - first
    for turn in range(int(counts.max())):
        # Excerpt by excerpt again: their activations lie side by side.
        yield order[rank == turn].sort().values
