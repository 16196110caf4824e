"""Take activations in on a processor: tensors handed to compiled loops, the neurons shared among threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worker.collection import kernels
from worker.collection.intake import LayerState
from worker.collection.sampling import Excerpted

_LANES = 16
"""Threads share the neurons at multiples of this, a cache line of float32."""


class ProcessorIntake:
    """The rules of ``TensorIntake``, with one look at each value. As many threads as torch uses."""

    def __init__(self) -> None:
        self._n_threads = torch.get_num_threads()
        self._threads = ThreadPoolExecutor(self._n_threads)

    def take_in(self, layer: LayerState, excerpts: Excerpted, activations: Float[Tensor, "batch tokens n"]) -> bool:
        """Add a batch, its excerpts in ascending order. False where an activation is not a finite number."""
        batch, limits = excerpts_of(excerpts, activations), _limits(layer)
        totals, pools = _totals(layer), _pools(layer)
        n_neurons = activations.shape[2]
        cuts = [i * n_neurons // self._n_threads // _LANES * _LANES for i in range(self._n_threads)]
        shares = zip(cuts, [*cuts[1:], n_neurons], strict=True)
        works = [self._threads.submit(kernels.take_in, share, batch, limits, totals, pools) for share in shares]
        finite = [work.result() for work in works]
        return all(finite)


def excerpts_of(excerpts: Excerpted, activations: Tensor) -> kernels.Excerpts:
    """One layer's activations [batch, tokens, N] of a batch on a processor, as compiled loops read them."""
    values = activations.float()
    if values.stride(2) != 1:
        values = values.contiguous()
    n_excerpts, n_tokens, n_neurons = values.shape
    stride, step, _ = values.stride()
    # A view that leaves tokens out, such as BOS, is read where it lies.
    size = (n_excerpts - 1) * stride + (n_tokens - 1) * step + n_neurons
    return kernels.Excerpts(
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
        high=bounds.high.numpy(),
        highest=bounds.highest.numpy(),
        random=layer.random.numpy().view(np.uint32),
        spread=layer.spread.numpy().view(np.uint32),
    )


def _totals(layer: LayerState) -> kernels.Totals:
    return kernels.Totals(
        sums=layer.shard_sums.numpy(),
        minimum=layer.minimum.numpy(),
        maximum=layer.maximum.numpy(),
        positive=layer.positive.numpy(),
        peak_counts=layer.peak_counts.numpy(),
        histogram=layer.histogram.numpy(),
    )


def _pools(layer: LayerState) -> kernels.Pools:
    pools = layer.pools
    return kernels.Pools(
        scores=pools.scores.numpy(),
        peaks=pools.peaks.numpy(),
        values=pools.values.view(torch.int16).numpy().view(np.uint16),
        bar=pools.bar.numpy(),
    )
