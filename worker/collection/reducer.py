"""Take in activations, batch by batch and layer by layer, at a small part of the model's own cost.

Cost decides the form. Every token's value is touched by twelve plain passes over blocks that stay in
the processor's cache; everything else happens once per excerpt and neuron, on the peaks. Only rows
that newly enter a pool are copied.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32
from numpy.typing import NDArray
from torch import Tensor

from app.errors import CollectionError
from worker.collection import exact
from worker.collection.best import NEVER, Batch, sortable
from worker.collection.bounds import HIGH_SHARE, HIGHEST_SHARE, HISTOGRAM_BINS, PEAK_BINS, Bounds
from worker.collection.chance import hash32, priorities
from worker.collection.state import POWERS, State, layer_bounds

CPU_BLOCK_VALUES = 1 << 19
GPU_BLOCK_VALUES = 1 << 26
_OFFERED = 80
_EXCERPT, _RANDOM, _SPREAD, _HISTOGRAM = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Sampling:
    """What steers chance. ``histogram_every``: one excerpt in so many enters the histogram.

    Sorting every value of every token into bins would cost more than all other statistics together;
    a share of the excerpts, chosen by hash, gives the same picture.
    """

    seed: int
    n_excerpts: int
    histogram_every: int

    @classmethod
    def of(cls, seed: int, n_excerpts: int) -> "Sampling":
        """At least 2,048 excerpts (131,072 tokens of 64), or all of them, enter the histogram."""
        return cls(seed, n_excerpts, min(16, max(1, n_excerpts // 2048)))

    def floor(self, share: float) -> int:
        """A priority that about 80 of the excerpts exceed, where ``share`` of all are eligible.

        The best 20 are among them (fewer than 20 of 80 expected: less than 1 in 10**15), so all others
        need no look.
        """
        wanted = _OFFERED / (share * self.n_excerpts)
        return NEVER if wanted >= 1 else int((1 - wanted) * 2**31)


@dataclass(frozen=True, slots=True)
class Excerpted:
    """The excerpts of one batch: ordinals, hashes, and which of them enter the histogram."""

    ordinals: Tensor
    hashes: Tensor
    in_histogram: Bool[Tensor, " batch"]

    @classmethod
    def of(cls, ordinals: NDArray[np.int64], sampling: Sampling, device: torch.device) -> "Excerpted":
        """The excerpts with these ordinals."""
        chosen = hash32(sampling.seed, _HISTOGRAM, ordinals).numpy().view(np.uint32) % sampling.histogram_every == 0
        return cls(
            torch.from_numpy(ordinals).to(device),
            hash32(sampling.seed, _EXCERPT, ordinals).to(device),
            torch.from_numpy(chosen),
        )


class Reducer:
    """Brings activations into a state. One shard at a time: ``begin``, ``add`` for each layer, ``end``."""

    def __init__(self, state: State, bounds: dict[str, Tensor], sampling: Sampling) -> None:
        self.state = state
        shape = state.shape
        device = state.tensors["sums"].device
        self._bounds = [layer_bounds(bounds, layer) for layer in range(shape.n_layers)]
        self._pools = [state.pools(layer) for layer in range(shape.n_layers)]
        for pools, of_layer in zip(self._pools, self._bounds, strict=True):
            torch.maximum(pools.bar, floors(of_layer, sampling), out=pools.bar)
        grid = (shape.n_layers, shape.neurons)
        numbers = np.arange(shape.n_layers * shape.neurons, dtype=np.int64)
        self._random = hash32(sampling.seed, _RANDOM, numbers).to(device).view(grid)
        self._spread = hash32(sampling.seed, _SPREAD, numbers).to(device).view(grid)
        self._sums = torch.zeros((shape.n_layers, POWERS, shape.neurons), dtype=torch.float64, device=device)
        self._offsets = torch.arange(shape.neurons, device=device)
        self._block = CPU_BLOCK_VALUES if device.type == "cpu" else GPU_BLOCK_VALUES
        self._one = torch.ones((), dtype=torch.int32, device=device)
        self._never = torch.full((), NEVER, dtype=torch.int32, device=device)
        self._scratch: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def begin(self) -> None:
        """Start a shard."""
        self._sums.zero_()

    def end(self, shard: int, n_excerpts: int, n_in_histogram: int) -> None:
        """Close a shard. Raises CollectionError where an activation was not a number."""
        exact.add(self.state.tensors["sums"], self._sums.transpose(0, 1))
        self.state.shards.add(shard)
        self.state.excerpts += n_excerpts
        self.state.histogram_excerpts += n_in_histogram

    def add(self, excerpts: Excerpted, layer: int, activations: Float[Tensor, "batch tokens n"]) -> None:
        """Take in one layer's activations of one batch of the shard, in ascending order of ordinals."""
        activations = activations.to(self._offsets.device)
        peaks = torch.empty((activations.shape[0], activations.shape[2]), device=activations.device)
        step = max(1, self._block // (activations.shape[1] * activations.shape[2]))
        for first in range(0, activations.shape[0], step):
            part = slice(first, first + step)
            self._values(layer, activations[part], peaks[part])
        if not bool(torch.isfinite(peaks).all()):
            raise CollectionError(f"Layer {layer} gives activations that are not finite numbers; try --dtype float32.")
        self._peaks(layer, peaks)
        self._sample(layer, Batch(excerpts.ordinals, peaks, activations), excerpts)
        if bool(excerpts.in_histogram.any()):
            self._histogram(layer, activations[excerpts.in_histogram.to(activations.device)])

    def _values(self, layer: int, activations: Tensor, peaks: Tensor) -> None:
        """All that looks at every value. ``peaks`` [batch, N] is filled."""
        values = activations.float()
        tensors = self.state.tensors
        torch.amax(values, dim=1, out=peaks)
        low = tensors["minimum"][layer]
        torch.minimum(low, values.amin(dim=1).amin(dim=0), out=low)
        work, squares = self._buffers(tuple(values.shape), values.device)
        torch.gt(values, 0, out=work)
        tensors["positive"][layer] += work.sum(dim=1).sum(dim=0).to(torch.int64)
        sums = torch.empty((peaks.shape[0], POWERS, peaks.shape[1]), device=values.device)
        # Centred, so that variance and kurtosis do not drown in a large mean.
        torch.sub(values, self._bounds[layer].centre, out=work)
        torch.mul(work, work, out=squares)
        torch.sum(work, dim=1, out=sums[:, 0])
        torch.sum(squares, dim=1, out=sums[:, 1])
        torch.sum(work.mul_(squares), dim=1, out=sums[:, 2])
        torch.sum(squares.mul_(squares), dim=1, out=sums[:, 3])
        self._add_up(layer, sums.to(torch.float64))

    def _add_up(self, layer: int, sums: Tensor) -> None:
        """Add sums float64 [batch, powers, N] to the shard's."""
        shard = self._sums[layer]
        if sums.device.type != "cpu":
            # A GPU's forward pass depends on the size of the batch in its last bits anyway.
            shard += sums.sum(dim=0)
            return
        # Excerpt by excerpt, so that the result does not depend on how many came at once.
        for of_excerpt in sums:
            shard += of_excerpt

    def _buffers(self, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
        """Room to work in, kept: fresh memory would cost as much as the work."""
        if shape not in self._scratch:
            self._scratch[shape] = (torch.empty(shape, device=device), torch.empty(shape, device=device))
        return self._scratch[shape]

    def _peaks(self, layer: int, peaks: Tensor) -> None:
        """Count peaks in bins that are finest at the low end, where most of them lie."""
        bounds, tensors = self._bounds[layer], self.state.tensors
        torch.maximum(tensors["maximum"][layer], peaks.amax(dim=0), out=tensors["maximum"][layer])
        share = torch.sub(peaks, bounds.peak_low).mul_(bounds.peak_scale).clamp_(0, 1).sqrt_()
        bins = share.mul_(PEAK_BINS).clamp_(max=PEAK_BINS - 1).to(torch.int64)
        self._count(tensors["peak_counts"][layer], bins, PEAK_BINS)

    def _histogram(self, layer: int, activations: Tensor) -> None:
        bounds = self._bounds[layer]
        place = torch.sub(activations.float(), bounds.value_low).mul_(bounds.value_scale)
        bins = place.clamp_(0, HISTOGRAM_BINS - 1).to(torch.int64)
        self._count(self.state.tensors["histogram"][layer], bins.view(-1, bins.shape[-1]), HISTOGRAM_BINS)

    def _count(self, counts: Tensor, bins: Tensor, n_bins: int) -> None:
        """Add one to ``counts`` [N, n_bins] for each of ``bins`` [rows, N], which is overwritten."""
        flat = bins.add_(self._offsets * n_bins).view(-1)
        counts.view(-1).scatter_add_(0, flat, self._one.expand(flat.shape[0]))

    def _sample(self, layer: int, batch: Batch, excerpts: Excerpted) -> None:
        """Offer the batch to the pools, in the order of ``POOLS``."""
        bounds = self._bounds[layer]
        spread = priorities(excerpts.hashes, self._spread[layer])
        keys = [
            sortable(batch.peaks),
            priorities(excerpts.hashes, self._random[layer]),
            spread,
            torch.where(batch.peaks >= bounds.high, spread, self._never),
            torch.where(batch.peaks >= bounds.highest, spread, self._never),
        ]
        self._pools[layer].add(torch.cat(keys, dim=1), batch)


def floors(bounds: Bounds, sampling: Sampling) -> Int32[Tensor, " rows"]:
    """What keys must exceed from the beginning, in the order of ``POOLS``, [5 * N].

    In a long corpus the top 20 are far above ``highest``, which a hundredth of all excerpts reach.
    """
    n = bounds.highest.shape[0]
    everywhere = sampling.floor(1)
    lots = sampling.n_excerpts * HIGHEST_SHARE >= _OFFERED
    top = sortable(bounds.highest) - 1 if lots else torch.full_like(bounds.highest, NEVER, dtype=torch.int32)
    chance = torch.tensor([everywhere, everywhere, sampling.floor(HIGH_SHARE), sampling.floor(HIGHEST_SHARE)])
    return torch.cat([top, chance.to(torch.int32).to(top.device).repeat_interleave(n)])
