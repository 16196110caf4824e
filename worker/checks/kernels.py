"""Compiled loops that execute explanations on one layer's activations of a batch.

Explanations are independent of each other, and each sums over its tokens in the order of the corpus. So any division
among threads gives bit-identical results.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.activations import NORMALISED_LEVELS
from app.domain.arrays import Float32s, Float64s, Int32s, Int64s
from app.domain.executed import FIRING_LEVEL
from worker.checks.state import FALSE_ALARM, MISS, N_KINDS
from worker.collection.pool_kernels import Excerpts, Pools, enter, priority
from worker.compiled_loops import compiled_loop
from worker.lexical.execution import SILENCED, Scratch, Tile, claim, forget
from worker.lexical.programs import Program

GAP_BITS, CHANCE_BITS = 4, 27
"""Bits of the key of a kept excerpt: its largest difference in levels (0..10), then a random number."""
_TOP_LEVEL = NORMALISED_LEVELS - 1
_FREE = np.int64(-1)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Layer(NamedTuple):
    """The neurons and explanations of a layer. ``first`` is the index of its first explanation.

    ``neurons`` and ``hashes`` have one entry per explanation of the layer. The others have one per neuron: the
    activation from which it fires, and levels per unit of activation.
    """

    first: int
    neurons: Int32s
    hashes: NDArray[np.uint32]
    thresholds: Float32s
    scales: Float32s


class Counts(NamedTuple):
    """Running counts of all E explanations: tokens and firing tokens [E, 11], sums over the current shard [E, 11]."""

    tokens: Int64s
    firing: Int64s
    sums: Float64s


class Tally(NamedTuple):
    """An open-addressing hash table: keys, -1 if free, and their counts; ``used`` is the number of keys."""

    keys: Int64s
    counts: Int64s
    used: Int64s


class Batch(NamedTuple):
    """One layer's activations of a batch, and the targets found in its tokens."""

    values: Excerpts
    tile: Tile
    vocabulary: int
    """The size of the vocabulary."""


@compiled_loop
def find_firing(
    values: Excerpts, neurons: tuple[int, int], thresholds: Float32s, n_firing: Int64s
) -> tuple[Int64s, Int32s]:
    """The tokens on which each neuron of a range fires, ascending: offsets [n + 1] into the indices, and the indices.

    Adds to ``n_firing`` [N].
    """
    first, last = neurons
    width = last - first
    counts = np.zeros(width, np.int32)
    limits = thresholds[first:last]
    for b in range(values.ordinals.shape[0]):
        for t in range(values.tokens):
            at = b * values.stride + t * values.step + first
            row = values.values[at : at + width]
            for n in range(width):
                counts[n] += np.int32(row[n] >= limits[n])
    offsets = np.zeros(width + 1, np.int64)
    for n in range(width):
        offsets[n + 1] = offsets[n] + counts[n]
        n_firing[first + n] += counts[n]
    found = np.empty(offsets[width], np.int32)
    cursors = offsets[:width].copy()
    for b in range(values.ordinals.shape[0]):
        for t in range(values.tokens):
            at = b * values.stride + t * values.step + first
            row = values.values[at : at + width]
            for n in range(width):
                if row[n] >= limits[n]:
                    found[cursors[n]] = b * values.tokens + t
                    cursors[n] += 1
    return offsets, found


@compiled_loop
def check(
    explanations: tuple[int, int],
    program: Program,
    batch: Batch,
    layer: Layer,
    firing: tuple[int, Int64s, Int32s],
    into: tuple[Counts, Pools, Tally, Scratch],
) -> int:
    """Execute a range of the layer's explanations; returns the first one for which the tally has no room.

    ``firing`` is the first neuron of a range and the result of ``find_firing`` for the range.
    """
    counts, kept, tally, scratch = into
    n_tokens = batch.tile.ids.shape[0]
    for explanation in range(explanations[0], explanations[1]):
        if tally.used[0] + N_KINDS * n_tokens > tally.keys.shape[0] // 2:
            return explanation
        neuron = layer.neurons[explanation]
        n_touched = claim(program, layer.first + explanation, batch.tile, scratch)
        _count_claims(explanation, batch, layer, (n_touched, scratch), (counts, kept, tally))
        begin, end = firing[1][neuron - firing[0]], firing[1][neuron - firing[0] + 1]
        _find_misses(explanation, batch, layer, (firing[2][begin:end], scratch), (kept, tally))
        forget(scratch, n_touched)
    return explanations[1]


@compiled_loop
def _count_claims(
    explanation: int,
    batch: Batch,
    layer: Layer,
    claimed: tuple[int, Scratch],
    into: tuple[Counts, Pools, Tally],
) -> None:
    """Count the claimed tokens; those on which the neuron does not fire are false alarms."""
    n_touched, scratch = claimed
    counts, kept, tally = into
    neuron, number = layer.neurons[explanation], layer.first + explanation
    values, n = batch.values, batch.values.tokens
    row = N_KINDS * number + FALSE_ALARM
    excerpt, widest, activation = -1, -1, 0.0
    for k in range(n_touched):
        p = int(scratch.touched[k])
        level = int(scratch.levels[p])
        if level == SILENCED:
            continue
        b = p // n
        value = values.values[b * values.stride + (p - b * n) * values.step + neuron]
        counts.tokens[number, level] += 1
        counts.sums[number, level] += value
        if value >= layer.thresholds[neuron]:
            counts.firing[number, level] += 1
        elif level >= FIRING_LEVEL:
            _add(tally, row * batch.vocabulary + batch.tile.ids[p])
            if b != excerpt:
                _keep(batch, layer, (explanation, row, excerpt), (widest, activation), kept)
                excerpt, widest = b, -1
            gap = level - _level(value * layer.scales[neuron])
            if gap > widest:
                widest, activation = gap, value
    _keep(batch, layer, (explanation, row, excerpt), (widest, activation), kept)


@compiled_loop
def _find_misses(
    explanation: int,
    batch: Batch,
    layer: Layer,
    firing: tuple[Int32s, Scratch],
    into: tuple[Pools, Tally],
) -> None:
    """Count the misses: tokens on which the neuron fires and that are not claimed."""
    tokens, scratch = firing
    kept, tally = into
    neuron = layer.neurons[explanation]
    values, n = batch.values, batch.values.tokens
    row = N_KINDS * (layer.first + explanation) + MISS
    excerpt, widest, activation = -1, -1, 0.0
    for p in tokens:
        level = int(scratch.levels[p])
        if level == SILENCED:
            level = 0
        if level < FIRING_LEVEL:
            _add(tally, row * batch.vocabulary + batch.tile.ids[p])
            b = int(p // n)
            if b != excerpt:
                _keep(batch, layer, (explanation, row, excerpt), (widest, activation), kept)
                excerpt, widest = b, -1
            value = values.values[b * values.stride + (p - b * n) * values.step + neuron]
            gap = _level(value * layer.scales[neuron]) - level
            if gap > widest:
                widest, activation = gap, value
    _keep(batch, layer, (explanation, row, excerpt), (widest, activation), kept)


@compiled_loop
def _level(scaled: float) -> int:
    """The level of an activation, equal to ``activations.normalise``."""
    return int(min(max(np.floor(scaled), 0), _TOP_LEVEL))


@compiled_loop
def _keep(batch: Batch, layer: Layer, mistake: tuple[int, int, int], worst: tuple[int, float], kept: Pools) -> None:
    """Offer an excerpt with a mistake to the kept ones: the largest difference first, random among equals."""
    explanation, row, excerpt = mistake
    gap, activation = worst
    if excerpt < 0:
        return
    values = batch.values
    chance = priority(values.hashes[excerpt], layer.hashes[explanation]) >> np.int32(GAP_BITS)
    key = np.int64(gap) << CHANCE_BITS | chance
    if key > kept.bar[row]:
        offset = excerpt * values.stride + layer.neurons[explanation]
        enter(values, offset, (row, int(key), int(values.ordinals[excerpt])), activation, kept)


@compiled_loop
def _add(tally: Tally, key: int) -> None:
    """Add one to a key's count."""
    slot = _slot(tally, key)
    if tally.keys[slot] == _FREE:
        tally.keys[slot] = key
        tally.used[0] += 1
    tally.counts[slot] += 1


@compiled_loop
def _slot(tally: Tally, key: int) -> int:
    """The slot of a key, or its free slot if it is new. The table is never more than half full."""
    last = np.int64(tally.keys.shape[0] - 1)
    mixed = np.uint64(key) * _MULTIPLIER
    slot = np.int64(mixed >> np.uint64(32)) & last
    while tally.keys[slot] != key and tally.keys[slot] != _FREE:
        slot = (slot + 1) & last
    return int(slot)


@compiled_loop
def refill(tally: Tally, keys: Int64s, counts: Int64s) -> None:
    """Insert distinct keys with their counts into an empty table."""
    for k in range(keys.shape[0]):
        slot = _slot(tally, keys[k])
        tally.keys[slot] = keys[k]
        tally.counts[slot] = counts[k]
    tally.used[0] = keys.shape[0]
