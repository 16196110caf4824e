"""What a pass keeps: for every neuron its sums, counts and excerpts, of fixed size.

Memory per neuron at contexts of 64 tokens: 32 excerpts of 148 bytes and 108 of 140, 20 of 20 bytes, 50 + 256 counts of
4 bytes, sums of 332 bytes: about 21.9 kB, 6.7 GB for the 307,200 neurons of GPT-2 XL, whatever the corpus. The token
sums (``token_sums``) come on top, as much as they are given.
Two states over different excerpts merge exactly, in any grouping and order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from app.errors import CollectionError
from worker.collection import exact
from worker.collection.best import Best
from worker.collection.bounds import HISTOGRAM_BINS, PEAK_BINS, Bounds

TOP, LEADERS, UNIFORM, WEIGHTED = 32, 20, 60, 48
POOLS: Mapping[str, int] = {"top": TOP, "leaders": LEADERS, "uniform": UNIFORM, "weighted": WEIGHTED}
"""The pools and their sizes. ``top`` and ``leaders`` rank by peak: ``top`` keeps one excerpt of each text
(``contexts``), ``leaders`` keeps copies too, but no activations. ``uniform`` and ``weighted`` are draws
(``sampling``)."""
POWERS = 4
_PARTS = ("scores", "peaks", "values", "bar", "texts")
_COUNTS = ("minimum", "maximum", "positive", "peak_counts", "histogram", "token_sums")
_ADDED = ("sums", "positive", "peak_counts", "histogram", "token_sums")


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a subject and of an excerpt."""

    n_layers: int
    neurons: int
    tokens: int
    token_rows: int = 1
    """Rows of the token sums."""


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
            "token_sums": torch.zeros(
                (shape.n_layers, shape.token_rows, shape.neurons), dtype=torch.int64, device=device
            ),
        }
        rows = shape.n_layers * shape.neurons
        for pool, size in POOLS.items():
            by_peak = pool in ("top", "leaders")
            best = Best.empty(
                rows, size, 0 if pool == "leaders" else shape.tokens, device, texts=by_peak, distinct=pool == "top"
            )
            parts = {part: getattr(best, part) for part in _PARTS}
            tensors.update((f"{pool}.{part}", tensor) for part, tensor in parts.items() if tensor is not None)
        return cls(shape, tensors)

    def best(self, name: str) -> Best:
        """All rows of a pool: by layer, then by neuron."""
        parts = {part: self.tensors.get(f"{name}.{part}") for part in _PARTS}
        return Best(**parts, distinct=name == "top")  # type: ignore[arg-type]  # texts alone may be missing

    def counts(self, layer: int) -> dict[str, Tensor]:
        """Views of the extremes, counts and token sums of one layer, by name."""
        return {name: self.tensors[name][layer] for name in _COUNTS}

    def pool(self, layer: int, name: str) -> Best:
        """A view of one pool of one layer."""
        return self.best(name).rows(layer * self.shape.neurons, (layer + 1) * self.shape.neurons)

    def to(self, device: torch.device) -> "State":
        """The same on another device."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return State(self.shape, moved, self.shards, self.excerpts, self.histogram_excerpts)

    def merge(self, other: "State") -> None:
        """Take in a state over other shards. Raises CollectionError where both hold the same one."""
        if self.shards & other.shards:
            raise CollectionError(f"Both parts hold the shards {sorted(self.shards & other.shards)}.")
        mine, theirs = self.tensors, other.tensors
        for name in _ADDED:
            mine[name] += theirs[name]
        torch.minimum(mine["minimum"], theirs["minimum"], out=mine["minimum"])
        torch.maximum(mine["maximum"], theirs["maximum"], out=mine["maximum"])
        for pool in POOLS:
            self.best(pool).merge(other.best(pool))
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
