"""The state of a check: for every explanation its counts by level, the tokens of its mistakes and a few excerpts.

Memory per explanation at contexts of 64 tokens: 1.3 kB of counts and sums, 10 excerpts of 140 bytes, and 16 bytes for
each token that it misses or claims wrongly. Two states over different excerpts merge exactly, in any grouping and
order, like those of a collection.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from app.domain.activations import NORMALISED_LEVELS
from app.domain.executed import MISTAKE_EXCERPTS, Mistake
from app.errors import CollectionError
from worker.collection import exact
from worker.collection.best import Best
from worker.collection.checkpoint import Open, open_for_writing, read_tensors, write_tensors

KINDS = (Mistake.FALSE_ALARM, Mistake.MISS)
"""Kinds of mistakes; those of one explanation and kind are in row ``N_KINDS * explanation + rank of the kind``."""
N_KINDS = len(KINDS)
FALSE_ALARM, MISS = (KINDS.index(kind) for kind in KINDS)
_BEST = ("scores", "peaks", "values", "bar")


@dataclass(frozen=True, slots=True)
class CheckShape:
    """The sizes of a check: explanations, neurons, tokens per excerpt."""

    n_explanations: int
    n_layers: int
    neurons: int
    tokens: int


@dataclass(slots=True)
class CheckState:
    """The whole state of a check. ``shards`` are the shards it covers.

    ``tallies`` are two int64 arrays [M]: ascending keys (row * size of the vocabulary + token id), and how often
    the token was a mistake of this row.
    """

    shape: CheckShape
    tensors: dict[str, Tensor]
    tallies: tuple[Tensor, Tensor]
    shards: set[int] = field(default_factory=set)
    excerpts: int = 0

    @classmethod
    def empty(cls, shape: CheckShape) -> "CheckState":
        """The empty state."""
        cpu = torch.device("cpu")
        counts = (shape.n_explanations, NORMALISED_LEVELS)
        tensors = {
            "tokens": torch.zeros(counts, dtype=torch.int64),
            "firing": torch.zeros(counts, dtype=torch.int64),
            "sums": exact.zeros(counts, cpu),
            "n_firing": torch.zeros((shape.n_layers, shape.neurons), dtype=torch.int64),
        }
        best = Best.empty(N_KINDS * shape.n_explanations, MISTAKE_EXCERPTS, shape.tokens, cpu)
        tensors.update((f"best.{part}", getattr(best, part)) for part in _BEST)
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(shape, tensors, (nothing, nothing))

    @property
    def best(self) -> Best:
        """The kept excerpts of all rows; ``peaks`` are the activations on the tokens of the mistakes."""
        scores, peaks, values, bar = (self.tensors[f"best.{part}"] for part in _BEST)
        return Best(scores, peaks, values, bar)

    def tally(self, keys: Tensor, counts: Tensor) -> None:
        """Add to the tallies; ``keys`` may repeat."""
        every, numbers = torch.cat([self.tallies[0], keys]), torch.cat([self.tallies[1], counts])
        distinct, index = torch.unique(every, return_inverse=True)
        self.tallies = (distinct, torch.zeros_like(distinct).scatter_add_(0, index, numbers))

    def merge(self, other: "CheckState") -> None:
        """Add a state over other shards. Raises CollectionError if both cover the same shard."""
        if self.shards & other.shards:
            raise CollectionError(f"Both parts hold the shards {sorted(self.shards & other.shards)}.")
        for name in ("tokens", "firing", "sums", "n_firing"):
            self.tensors[name] += other.tensors[name]
        self.best.merge(other.best)
        self.tally(*other.tallies)
        self.shards |= other.shards
        self.excerpts += other.excerpts


def save_check(file: Path, state: CheckState, opener: Open = open_for_writing) -> None:
    """Write a state. Raises CollectionError if the disk is full; the old file stays."""
    keys, counts = state.tallies
    shape = state.shape
    extra: dict[str, object] = {
        "shape": [shape.n_explanations, shape.n_layers, shape.neurons, shape.tokens],
        "shards": sorted(state.shards),
        "excerpts": state.excerpts,
    }
    write_tensors(file, {**state.tensors, "tally.keys": keys, "tally.counts": counts}, extra, opener)


def load_check(file: Path, shape: CheckShape) -> CheckState | None:
    """The state in a file; None if there is no file. Raises CollectionError for the state of another check."""
    if not file.exists():
        return None
    tensors, extra = read_tensors(file, torch.device("cpu"))
    shards = extra.get("shards")
    if extra.get("shape") != [shape.n_explanations, shape.n_layers, shape.neurons, shape.tokens] or not isinstance(
        shards, list
    ):
        raise CollectionError(f"{file} holds no state of this check.")
    tallies = (tensors.pop("tally.keys"), tensors.pop("tally.counts"))
    return CheckState(shape, tensors, tallies, set(shards), int(str(extra["excerpts"])))
