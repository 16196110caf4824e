"""Add one layer's activations of a batch to the state, by tensor operations.

The form follows from cost. Every token's value is read in twelve simple passes; everything else happens once per
excerpt and neuron, on the peaks. Only rows that newly enter a pool are copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Float64, Int32, Int64, UInt8
from torch import Tensor

from worker.collection.best import NEVER, Batch, Best, sortable
from worker.collection.bounds import HISTOGRAM_BINS, Bounds, peak_bins
from worker.collection.chance import HIGHEST_PRIORITY, priorities
from worker.collection.sampling import Excerpted
from worker.collection.state import POWERS

BLOCK_VALUES = 1 << 26


@dataclass(frozen=True, slots=True)
class LayerState:
    """Views of a pass's state for the N neurons of one layer, and of its parameters.

    ``pools`` are by name. ``shard_sums`` are the power sums of the current shard; ``chance`` are the neurons' hashes.
    """

    bounds: Bounds
    pools: Mapping[str, Best]
    shard_sums: Float64[Tensor, "powers n"]
    minimum: Float[Tensor, " n"]
    maximum: Float[Tensor, " n"]
    positive: Int64[Tensor, " n"]
    peak_counts: Int32[Tensor, "n bins"]
    histogram: Int32[Tensor, "n bins"]
    token_sums: Int64[Tensor, "rows n"]
    chance: Int32[Tensor, " n"]


class Intake(Protocol):
    """An implementation of the rules by which activations are added to a state.

    Token sums may be buffered; ``settle`` adds them to the state.
    """

    def take_in(self, layer: LayerState, excerpts: Excerpted, activations: Float[Tensor, "batch tokens n"]) -> bool:
        """Add a batch, its excerpts in ascending order. Returns False if an activation is not finite."""

    def settle(self, layer: LayerState) -> None:
        """Add buffered sums to the state of a layer."""


class TensorIntake:
    """The implementation for any device that torch supports."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def take_in(self, layer: LayerState, excerpts: Excerpted, activations: Float[Tensor, "batch tokens n"]) -> bool:
        """Add a batch, its excerpts in ascending order. Returns False if an activation is not finite."""
        peaks = torch.empty((activations.shape[0], activations.shape[2]), device=activations.device)
        step = max(1, BLOCK_VALUES // (activations.shape[1] * activations.shape[2]))
        finite = True
        for first in range(0, activations.shape[0], step):
            part = slice(first, first + step)
            finite = self._values(layer, activations[part], peaks[part]) and finite
            if finite:
                _add_tokens(layer, excerpts.tokens.rows[part], activations[part])
        if finite:
            bins = _count_peaks(layer, peaks)
            _sample(layer, Batch(excerpts.ordinals, peaks, activations, excerpts.tokens.contexts), excerpts, bins)
            if bool(excerpts.in_histogram.any()):
                _count_values(layer, activations[excerpts.in_histogram.to(activations.device)])
        return finite

    def settle(self, layer: LayerState) -> None:
        """Do nothing: no sums are buffered."""

    def _values(self, layer: LayerState, activations: Tensor, peaks: Tensor) -> bool:
        """Everything that reads every value. Fills ``peaks`` [batch, N]."""
        values = activations.float()
        torch.amax(values, dim=1, out=peaks)
        torch.minimum(layer.minimum, values.amin(dim=1).amin(dim=0), out=layer.minimum)
        work, squares = self._buffers(tuple(values.shape), values.device)
        torch.gt(values, 0, out=work)
        layer.positive.add_(work.sum(dim=1).sum(dim=0).to(torch.int64))
        sums = torch.empty((peaks.shape[0], POWERS, peaks.shape[1]), device=values.device)
        # centred first, so that variance and kurtosis do not lose precision to a large mean
        torch.sub(values, layer.bounds.centre, out=work)
        torch.mul(work, work, out=squares)
        torch.sum(work, dim=1, out=sums[:, 0])
        torch.sum(squares, dim=1, out=sums[:, 1])
        torch.sum(work.mul_(squares), dim=1, out=sums[:, 2])
        torch.sum(squares.mul_(squares), dim=1, out=sums[:, 3])
        # The device decides the order of adding; its forward pass depends on the batch in the last bits anyway.
        layer.shard_sums.add_(sums.to(torch.float64).sum(dim=0))
        return bool(torch.isfinite(sums[:, 0]).all())

    def _buffers(self, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
        """Scratch memory, reused between batches: allocating it each time would cost as much as the work."""
        if shape not in self._scratch:
            self._scratch[shape] = (torch.empty(shape, device=device), torch.empty(shape, device=device))
        return self._scratch[shape]


def _add_tokens(layer: LayerState, rows: Int32[Tensor, "batch tokens"], activations: Tensor) -> None:
    """Add every activation to the sum of its token, as an integer."""
    distances = torch.sub(activations.float(), layer.bounds.centre).mul_(layer.bounds.per_unit)
    units = distances.round_().to(torch.int64)
    layer.token_sums.index_add_(0, rows.reshape(-1), units.reshape(-1, units.shape[-1]))


def _count_peaks(layer: LayerState, peaks: Tensor) -> Int64[Tensor, "batch n"]:
    """Count peaks in their bins; returns the bins."""
    torch.maximum(layer.maximum, peaks.amax(dim=0), out=layer.maximum)
    bins = peak_bins(peaks, layer.bounds.peak_low, layer.bounds.peak_scale)
    _count(layer.peak_counts, bins.clone())
    return bins


def _count_values(layer: LayerState, activations: Tensor) -> None:
    scaled = torch.sub(activations.float(), layer.bounds.value_low).mul_(layer.bounds.value_scale)
    bins = scaled.clamp_(0, HISTOGRAM_BINS - 1).to(torch.int64)
    _count(layer.histogram, bins.view(-1, bins.shape[-1]))


def _count(counts: Tensor, bins: Tensor) -> None:
    """Add one to ``counts`` [N, n_bins] for each of ``bins`` [rows, N]; overwrites ``bins``."""
    neurons = torch.arange(counts.shape[0], device=counts.device)
    flat = bins.add_(neurons * counts.shape[1]).view(-1)
    counts.view(-1).scatter_add_(0, flat, counts.new_ones(()).expand(flat.shape[0]))


def _sample(layer: LayerState, batch: Batch, excerpts: Excerpted, bins: Int64[Tensor, "batch n"]) -> None:
    """Offer the batch to the pools."""
    by_peak = sortable(batch.peaks)
    layer.pools["top"].add(by_peak, batch)
    layer.pools["leaders"].add(by_peak, batch)
    chance = priorities(excerpts.hashes, layer.chance)
    layer.pools["uniform"].add(chance, batch)
    layer.pools["weighted"].add(weighted(chance, levels_of(layer.bounds, bins)), batch)


def levels_of(bounds: Bounds, bins: Int64[Tensor, "batch n"]) -> UInt8[Tensor, "batch n"]:
    """The level of each neuron's bin."""
    neurons = torch.arange(bins.shape[1], device=bins.device)
    return bounds.levels[neurons, bins]


def weighted(chance: Int32[Tensor, "batch n"], levels: UInt8[Tensor, "batch n"]) -> Int32[Tensor, "batch n"]:
    """The keys of the pool ``weighted``: u is divided by 2**level. Excerpts on level 0 are not offered."""
    keys = HIGHEST_PRIORITY - torch.bitwise_right_shift(HIGHEST_PRIORITY - chance, levels.to(torch.int32))
    return torch.where(levels > 0, keys, NEVER)
