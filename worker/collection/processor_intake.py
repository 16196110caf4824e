"""Add activations to a state on a processor: compiled loops, the neurons divided among threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from app.domain.arrays import Int64s
from worker.collection import kernels, pool_kernels
from worker.collection.best import Best
from worker.collection.bounds import HEADROOM_BITS, QUANTUM_BITS
from worker.collection.intake import LayerState
from worker.collection.sampling import BatchTokens, Excerpted

_LANES = 16
"""Threads divide the neurons at multiples of this number, a cache line of float32."""
_ADDENDS = 2**31 // 2 ** (QUANTUM_BITS + HEADROOM_BITS)
"""Number of activations that an int32 can sum, each within the range of ``bounds``."""


class ProcessorIntake:
    """The rules of ``TensorIntake``, reading each value once. Uses as many threads as torch.

    Token sums are added in int32 and carried into the state's int64 before they can overflow, each row once its token
    has occurred often enough. That halves the memory traffic.
    """

    def __init__(self) -> None:
        self._n_threads = torch.get_num_threads()
        self._threads = ThreadPoolExecutor(self._n_threads)
        self._layers: dict[int, _Layer] = {}

    def take_in(self, layer: LayerState, excerpts: Excerpted, activations: Float[Tensor, "batch tokens n"]) -> bool:
        """Add a batch, its excerpts in ascending order. Returns False if an activation is not finite."""
        finite = True
        n_excerpts, n_tokens, _ = activations.shape
        step = max(1, _ADDENDS // n_tokens)
        for first in range(0, n_excerpts, step):
            last = min(first + step, n_excerpts)
            finite = self._take_in(layer, excerpts.part(first, last), activations[first:last]) and finite
        return finite

    def settle(self, layer: LayerState) -> None:
        """Bring all token sums of a layer into its state."""
        if id(layer) in self._layers:
            known = self._layers[id(layer)]
            known.carry(np.flatnonzero(known.occurrences))

    def _take_in(self, layer: LayerState, excerpts: Excerpted, activations: Tensor) -> bool:
        if id(layer) not in self._layers:
            self._layers[id(layer)] = _Layer(layer)
        known = self._layers[id(layer)]
        known.expect(excerpts.tokens)
        batch, tokens = excerpts_of(excerpts, activations), _tokens(excerpts)
        arguments = (batch, tokens, known.limits, known.totals, known.pools)
        own, *others = self._shares(activations.shape[2])
        works = [self._threads.submit(kernels.take_in, share, *arguments) for share in others]
        # The calling thread takes a share too instead of waiting; with one thread nothing is handed over.
        finite = [bool(kernels.take_in(own, *arguments)), *(work.result() for work in works)]
        return all(finite)

    def _shares(self, n_neurons: int) -> list[tuple[int, int]]:
        """The neurons of each thread."""
        cuts = [i * n_neurons // self._n_threads // _LANES * _LANES for i in range(self._n_threads)]
        return list(zip(cuts, [*cuts[1:], n_neurons], strict=True))


class _Layer:
    """A layer's state as compiled loops need it, and the token sums that have not been added to it yet.

    ``occurrences`` [rows] is the number of addends in each row of these sums.
    """

    def __init__(self, layer: LayerState) -> None:
        self.occurrences = np.zeros(layer.token_sums.shape[0], dtype=np.int64)
        self.limits, self.totals, self.pools = _limits(layer), _totals(layer), _pools(layer)
        self._token_sums = layer.token_sums.numpy()

    def expect(self, tokens: BatchTokens) -> None:
        """Make room for a batch."""
        full = self.occurrences[tokens.seen] + tokens.counts > _ADDENDS
        if full.any():
            self.carry(tokens.seen[full])
        self.occurrences[tokens.seen] += tokens.counts

    def carry(self, rows: Int64s) -> None:
        """Bring some rows of token sums into the state."""
        kernels.carry(rows, self.totals.token_sums, self._token_sums)
        self.occurrences[rows] = 0


def excerpts_of(excerpts: Excerpted, activations: Tensor) -> pool_kernels.Excerpts:
    """One layer's activations [batch, tokens, N] of a batch on a processor, in the form of the compiled loops."""
    values = activations.float()
    if values.stride(2) != 1:
        values = values.contiguous()
    n_excerpts, n_tokens, n_neurons = values.shape
    stride, step, _ = values.stride()
    # A view that leaves out tokens, such as BOS, is read without a copy.
    size = (n_excerpts - 1) * stride + (n_tokens - 1) * step + n_neurons
    return pool_kernels.Excerpts(
        values=values.as_strided((size,), (1,)).numpy(),
        stride=stride,
        step=step,
        tokens=n_tokens,
        ordinals=excerpts.ordinals.numpy(),
        hashes=excerpts.hashes.numpy().view(np.uint32),
        in_histogram=excerpts.in_histogram.numpy(),
    )


def _limits(layer: LayerState) -> kernels.Limits:
    bounds = layer.bounds
    return kernels.Limits(
        centre=bounds.centre.numpy(),
        peak_low=bounds.peak_low.numpy(),
        peak_scale=bounds.peak_scale.numpy(),
        value_low=bounds.value_low.numpy(),
        value_scale=bounds.value_scale.numpy(),
        per_unit=bounds.per_unit.numpy(),
        levels=bounds.levels.numpy(),
        chance=layer.chance.numpy().view(np.uint32),
    )


def _totals(layer: LayerState) -> kernels.Totals:
    return kernels.Totals(
        sums=layer.shard_sums.numpy(),
        minimum=layer.minimum.numpy(),
        maximum=layer.maximum.numpy(),
        positive=layer.positive.numpy(),
        peak_counts=layer.peak_counts.numpy(),
        histogram=layer.histogram.numpy(),
        token_sums=np.zeros(layer.token_sums.shape, dtype=np.int32),
    )


def _tokens(excerpts: Excerpted) -> kernels.Tokens:
    return kernels.Tokens(excerpts.tokens.contexts.numpy(), excerpts.tokens.rows.numpy())


def _pools(layer: LayerState) -> kernels.LayerPools:
    pools = {name: _pool(pool) for name, pool in layer.pools.items()}
    return kernels.LayerPools(
        **pools,
        top_texts=layer.pools["top"].known_texts.numpy(),
        leader_texts=layer.pools["leaders"].known_texts.numpy(),
    )


def _pool(pool: Best) -> pool_kernels.Pools:
    values = pool.values.view(torch.int16).numpy().view(np.uint16)
    return pool_kernels.Pools(pool.scores.numpy(), pool.peaks.numpy(), values, pool.bar.numpy())
