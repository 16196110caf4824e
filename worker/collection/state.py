"""What a pass keeps: for every neuron its sums, counts and best excerpts, of fixed size.

Memory per neuron at contexts of 64 tokens: 100 excerpts of 140 bytes, 50 + 256 counts of 4 bytes,
sums of 332 bytes: about 15.6 kB, 4.8 GB for the 307,200 neurons of GPT-2 XL, whatever the corpus.
Two states over different excerpts merge exactly, in any grouping and order.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from app.errors import CollectionError
from worker.collection import exact
from worker.collection.best import Best
from worker.collection.bounds import HISTOGRAM_BINS, PEAK_BINS, Bounds

TOP = RANDOM = KEPT = 20
POOLS = ("top", "random", "spread", "high", "highest")
"""Pools of 20 excerpts each. ``top`` ranks by peak, the others by chance: ``random`` and ``spread``,
independent of each other, among all excerpts, ``high`` and ``highest`` among those whose peak exceeds a
bound."""
POWERS = 4
_PARTS = ("scores", "peaks", "values", "bar")
_COUNTS = ("minimum", "maximum", "positive", "peak_counts", "histogram")


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a subject and of an excerpt."""

    n_layers: int
    neurons: int
    tokens: int


@dataclass(slots=True)
class State:
    """The whole of a pass so far. ``shards`` are the ones it holds."""

    shape: Shape
    tensors: dict[str, Tensor]
    shards: set[int] = field(default_factory=set)
    excerpts: int = 0
    histogram_excerpts: int = 0

    @classmethod
    def empty(cls, shape: Shape, device: torch.device) -> "State":
        """Nothing seen yet."""
        grid = (shape.n_layers, shape.neurons)
        tensors = {
            "sums": exact.zeros((POWERS, *grid), device),
            "minimum": torch.full(grid, torch.inf, device=device),
            "maximum": torch.full(grid, -torch.inf, device=device),
            "positive": torch.zeros(grid, dtype=torch.int64, device=device),
            "peak_counts": torch.zeros((*grid, PEAK_BINS), dtype=torch.int32, device=device),
            "histogram": torch.zeros((*grid, HISTOGRAM_BINS), dtype=torch.int32, device=device),
        }
        best = Best.empty(shape.n_layers * len(POOLS) * shape.neurons, KEPT, shape.tokens, device)
        tensors.update((f"best.{part}", getattr(best, part)) for part in _PARTS)
        return cls(shape, tensors)

    @property
    def best(self) -> Best:
        """All pools of all neurons: by layer, then by pool, then by neuron."""
        return Best(*(self.tensors[f"best.{part}"] for part in _PARTS))

    def counts(self, layer: int) -> dict[str, Tensor]:
        """Views of the extremes and counts of one layer, by name."""
        return {name: self.tensors[name][layer] for name in _COUNTS}

    def pools(self, layer: int) -> Best:
        """A view of all pools of one layer."""
        rows = len(POOLS) * self.shape.neurons
        return self.best.rows(layer * rows, (layer + 1) * rows)

    def pool(self, layer: int, name: str) -> Best:
        """A view of one pool of one layer."""
        first = (layer * len(POOLS) + POOLS.index(name)) * self.shape.neurons
        return self.best.rows(first, first + self.shape.neurons)

    def to(self, device: torch.device) -> "State":
        """The same on another device."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return State(self.shape, moved, self.shards, self.excerpts, self.histogram_excerpts)

    def merge(self, other: "State") -> None:
        """Take in a state over other shards. Raises CollectionError where both hold the same one."""
        if self.shards & other.shards:
            raise CollectionError(f"Both parts hold the shards {sorted(self.shards & other.shards)}.")
        mine, theirs = self.tensors, other.tensors
        for name in ("sums", "positive", "peak_counts", "histogram"):
            mine[name] += theirs[name]
        torch.minimum(mine["minimum"], theirs["minimum"], out=mine["minimum"])
        torch.maximum(mine["maximum"], theirs["maximum"], out=mine["maximum"])
        self.best.merge(other.best)
        self.shards |= other.shards
        self.excerpts += other.excerpts
        self.histogram_excerpts += other.histogram_excerpts

    @property
    def n_bytes(self) -> int:
        """The memory that all this takes."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


def layer_bounds(stacked: dict[str, Tensor], layer: int) -> Bounds:
    """The bounds of one layer."""
    return Bounds(**{name: tensor[layer] for name, tensor in stacked.items()})
