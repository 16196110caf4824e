"""Add activations to the state of a check, shard by shard."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from app.domain.activations import NORMALISED_LEVELS, NORMALISED_MAXIMUM
from app.domain.arrays import Float64s, Int32s
from app.domain.executed import firing_threshold
from app.domain.tokens import Vocabulary
from worker.checks import kernels
from worker.checks.state import N_KINDS, CheckState
from worker.collection import exact
from worker.collection.chance import hash32
from worker.collection.pool_kernels import Pools
from worker.collection.processor_intake import excerpts_of
from worker.collection.sampling import Excerpted
from worker.lexical.execution import Scratch, Tile, scratch_for, tile_of
from worker.lexical.grammar import Clause
from worker.lexical.programs import compiled

_MISTAKES = 8
"""Purpose of the hashes that decide which mistakes are kept; see ``chance.hash64``."""
_SMALLEST_TALLY = 1 << 16


@dataclass(frozen=True, slots=True)
class Executable:
    """An executable explanation: its id, its neuron's layer and index, and the claims parsed from its text."""

    id: int
    layer: int
    index: int
    clauses: tuple[Clause, ...]


class Checker:
    """Executes explanations on the batches of a shard: ``begin``, then ``tile`` and ``add`` per layer, then ``end``.

    ``explanations`` are in ascending order of (layer, index, id): an explanation's index in the state is its rank in
    this order. ``maxima`` [layers, neurons] are over the whole corpus. One object serves one pass; call ``settle``
    before reading the state.
    """

    def __init__(
        self, state: CheckState, explanations: Sequence[Executable], maxima: Float64s, vocabulary: Vocabulary
    ) -> None:
        self.state = state
        self._vocabulary = vocabulary
        self._program = compiled([e.clauses for e in explanations], vocabulary)
        self._layers = [_layer(explanations, layer, maxima[layer]) for layer in range(len(maxima))]
        self._shard_sums = torch.zeros((len(explanations), NORMALISED_LEVELS), dtype=torch.float64)
        self._threads = ThreadPoolExecutor(torch.get_num_threads())
        self._shares = [_Share() for _ in range(torch.get_num_threads())]
        self._tile: Tile | None = None

    def begin(self) -> None:
        """Start a shard."""
        self._shard_sums.zero_()

    def end(self, shard: int, n_excerpts: int) -> None:
        """Finish a shard. Raises CollectionError if an activation was NaN."""
        exact.add(self.state.tensors["sums"], self._shard_sums)
        self.state.shards.add(shard)
        self.state.excerpts += n_excerpts

    def settle(self) -> None:
        """Add the threads' tallies to the state."""
        for share in self._shares:
            self.state.tally(*share.drained())

    def read(self, excerpts: Sequence[Int32s]) -> None:
        """Find all targets in the excerpts of a batch, before their activations are added."""
        self._tile = tile_of(excerpts, self._vocabulary, self._program)

    def add(self, excerpts: Excerpted, layer: int, activations: Float[Tensor, "batch tokens n"]) -> None:
        """Execute a layer's explanations on the batch that was read, in ascending order of ordinals."""
        if self._tile is None:
            raise RuntimeError("the batch was not read")
        values = excerpts_of(excerpts, activations.cpu())
        batch = kernels.Batch(values, self._tile, len(self._vocabulary))
        n_neurons = activations.shape[2]
        cuts = [i * n_neurons // len(self._shares) for i in range(len(self._shares) + 1)]
        works = [
            self._threads.submit(self._share, share, batch, layer, (first, last))
            for share, first, last in zip(self._shares, cuts, cuts[1:], strict=False)
        ]
        for work in works:
            work.result()

    def _share(self, share: "_Share", batch: kernels.Batch, number: int, neurons: tuple[int, int]) -> None:
        """One thread's neurons of a layer, with their explanations."""
        layer = self._layers[number]
        n_firing = self.state.tensors["n_firing"][number].numpy()
        offsets, tokens = kernels.find_firing(batch.values, neurons, layer.thresholds, n_firing)
        firing = (neurons[0], offsets, tokens)
        begin, end = np.searchsorted(layer.neurons, neurons).tolist()
        counts = kernels.Counts(
            self.state.tensors["tokens"].numpy(), self.state.tensors["firing"].numpy(), self._shard_sums.numpy()
        )
        kept, scratch = self._kept(), share.scratch(len(batch.tile.ids))
        while begin < end:
            into = (counts, kept, share.tally, scratch)
            begin = kernels.check((begin, end), self._program, batch, layer, firing, into)
            if begin < end:
                share.grow(N_KINDS * len(batch.tile.ids))

    def _kept(self) -> Pools:
        best = self.state.best
        values = best.values.view(torch.int16).numpy().view(np.uint16)
        return Pools(best.scores.numpy(), best.peaks.numpy(), values, best.bar.numpy())


class _Share:
    """The working memory of one thread."""

    def __init__(self) -> None:
        self.tally = _tally(_SMALLEST_TALLY)
        self._scratch = scratch_for(0)

    def scratch(self, n_tokens: int) -> Scratch:
        """Working memory for a batch of ``n_tokens`` tokens."""
        if len(self._scratch.levels) < n_tokens:
            self._scratch = scratch_for(n_tokens)
        return self._scratch

    def drained(self) -> tuple[Tensor, Tensor]:
        """The tally's keys and counts; the tally is empty afterwards."""
        tally = self.tally
        used = tally.keys >= 0
        keys, counts = torch.from_numpy(tally.keys[used]), torch.from_numpy(tally.counts[used])
        self.tally = _tally(len(tally.keys))
        return keys, counts

    def grow(self, n_keys: int) -> None:
        """Make room for ``n_keys`` more keys."""
        old = self.tally
        size = len(old.keys)
        while int(old.used[0]) + n_keys > size // 2:
            size *= 2
        self.tally = _tally(size)
        used = old.keys >= 0
        kernels.refill(self.tally, old.keys[used], old.counts[used])


def _tally(size: int) -> kernels.Tally:
    """An empty hash table; ``size`` is a power of two."""
    return kernels.Tally(np.full(size, -1, dtype=np.int64), np.zeros(size, dtype=np.int64), np.zeros(1, dtype=np.int64))


def _layer(explanations: Sequence[Executable], layer: int, maxima: Float64s) -> kernels.Layer:
    own = [e for e in explanations if e.layer == layer]
    ids = np.array([e.id for e in own], dtype=np.int64)
    fires = maxima > 0
    return kernels.Layer(
        first=next((number for number, e in enumerate(explanations) if e.layer == layer), 0),
        neurons=np.array([e.index for e in own], dtype=np.int32),
        hashes=hash32(0, _MISTAKES, ids).numpy().view(np.uint32),
        thresholds=np.array([firing_threshold(float(m)) for m in maxima], dtype=np.float32),
        scales=np.where(fires, NORMALISED_MAXIMUM / np.where(fires, maxima, 1), 0).astype(np.float32),
    )
