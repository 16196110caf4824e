"""Compiled loops that add activations to a state on a processor: each value is read once, while it is in the cache.

They do the same as ``intake.TensorIntake``, tile by tile: 256 neurons on one excerpt. An excerpt that enters a pool is
copied at once, while its values are in the cache. Neurons are independent, so any division among threads gives
bit-identical results.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from worker.collection.best import NEVER
from worker.collection.chance import HIGHEST_PRIORITY
from worker.collection.pool_kernels import Excerpts, Pools, enter, enter_distinct, priority, sortable
from worker.compiled_loops import compiled_loop

TILE = 256
"""Neurons per tile: an excerpt's statistics, 53 bytes per neuron, fit into a first-level cache."""
_NEVER = np.int32(NEVER)
_HIGHEST = np.int32(HIGHEST_PRIORITY)


class Tokens(NamedTuple):
    """The tokens of a batch as numbers, [B, T]: the context up to each, and the row of its sum."""

    contexts: Int64s
    rows: Int32s


class Limits(NamedTuple):
    """Parameters from the pilot for the N neurons of the layer, and their hashes; ``levels`` [N, bins]."""

    centre: Float32s
    peak_low: Float32s
    peak_scale: Float32s
    value_low: Float32s
    value_scale: Float32s
    per_unit: Float32s
    levels: NDArray[np.uint8]
    chance: NDArray[np.uint32]


class Totals(NamedTuple):
    """The running totals: ``sums`` [4, N] of the shard; counts [N, bins]; ``token_sums`` [rows, N]; the others [N]."""

    sums: Float64s
    minimum: Float32s
    maximum: Float32s
    positive: Int64s
    peak_counts: Int32s
    histogram: Int32s
    token_sums: Int32s


class LayerPools(NamedTuple):
    """The pools of the layer, row = neuron, and the texts of those that keep texts [N, K]."""

    top: Pools
    leaders: Pools
    uniform: Pools
    weighted: Pools
    top_texts: Int64s
    leader_texts: Int64s


class Tile(NamedTuple):
    """One excerpt's statistics for the neurons of a tile, and scratch memory; [width] each.

    Loops first bind what they use to local names: the compiler vectorises only such loops.
    """

    peak: Float32s
    low: Float32s
    positive: Int32s
    first: Float32s
    second: Float32s
    third: Float32s
    fourth: Float32s
    peak_bins: Int32s
    value_bins: Int32s
    by_peak: Int32s
    by_chance: Int32s
    wanted: Bools


@compiled_loop
def take_in(
    neurons: tuple[int, int], batch: Excerpts, tokens: Tokens, limits: Limits, totals: Totals, pools: LayerPools
) -> bool:
    """Add the activations of neurons ``neurons[0]`` up to ``neurons[1]``. Returns False if one is not finite."""
    finite = True
    for b in range(batch.ordinals.shape[0]):
        for begin in range(neurons[0], neurons[1], TILE):
            tile = _tile(min(TILE, neurons[1] - begin))
            start = b * batch.stride + begin
            _summarise(batch, start, begin, limits.centre, tile)
            finite &= _add_up(begin, tile, totals)
            _count_peaks(begin, tile, limits, totals)
            if batch.in_histogram[b]:
                _count_values(batch, start, begin, tile, limits, totals)
            _choose(batch.hashes[b], begin, tile, limits, pools)
            for i in range(tile.peak.shape[0]):
                if tile.wanted[i]:
                    _offer(batch, tokens, (b, begin + i, i), tile, limits, pools)
        _add_tokens((b, neurons[0], neurons[1]), batch, tokens.rows, limits, totals.token_sums)
    return finite


@compiled_loop
def _tile(width: int) -> Tile:
    numbers = np.empty((6, width), np.float32)
    return Tile(
        numbers[0],
        numbers[1],
        np.empty(width, np.int32),
        numbers[2],
        numbers[3],
        numbers[4],
        numbers[5],
        np.empty(width, np.int32),
        np.empty(width, np.int32),
        np.empty(width, np.int32),
        np.empty(width, np.int32),
        np.empty(width, np.bool_),
    )


@compiled_loop
def _summarise(batch: Excerpts, start: int, begin: int, centres: Float32s, tile: Tile) -> None:
    """Everything that reads every value, four tokens at a time, so that statistics are loaded and stored less often."""
    tile.peak[:], tile.low[:], tile.positive[:] = -np.inf, np.inf, 0
    tile.first[:], tile.second[:], tile.third[:], tile.fourth[:] = 0, 0, 0, 0
    centre = centres[begin : begin + tile.peak.shape[0]]
    whole = batch.tokens // 4 * 4
    for t in range(0, whole, 4):
        _four_tokens(batch, start + t * batch.step, centre, tile)
    for t in range(whole, batch.tokens):
        _one_token(batch, start + t * batch.step, centre, tile)


@compiled_loop
def _four_tokens(batch: Excerpts, offset: int, centre: Float32s, tile: Tile) -> None:
    """Add four tokens. Powers are centred, so that they do not lose precision to a large mean."""
    width, step = centre.shape[0], batch.step
    row0 = batch.values[offset : offset + width]
    row1 = batch.values[offset + step : offset + step + width]
    row2 = batch.values[offset + 2 * step : offset + 2 * step + width]
    row3 = batch.values[offset + 3 * step : offset + 3 * step + width]
    zero = np.float32(0)
    peak, low, positive = tile.peak, tile.low, tile.positive
    for n in range(width):
        a, b, c, d = row0[n], row1[n], row2[n], row3[n]
        peak[n] = _larger(peak[n], _larger(_larger(a, b), _larger(c, d)))
        low[n] = _smaller(low[n], _smaller(_smaller(a, b), _smaller(c, d)))
        positive[n] += np.int32(a > zero) + np.int32(b > zero) + np.int32(c > zero) + np.int32(d > zero)
    first, second, third, fourth = tile.first, tile.second, tile.third, tile.fourth
    for n in range(width):
        a, b, c, d = row0[n] - centre[n], row1[n] - centre[n], row2[n] - centre[n], row3[n] - centre[n]
        aa, bb, cc, dd = a * a, b * b, c * c, d * d
        first[n] += (a + b) + (c + d)
        second[n] += (aa + bb) + (cc + dd)
        third[n] += (aa * a + bb * b) + (cc * c + dd * d)
        fourth[n] += (aa * aa + bb * bb) + (cc * cc + dd * dd)


@compiled_loop
def _one_token(batch: Excerpts, offset: int, centre: Float32s, tile: Tile) -> None:
    for n in range(centre.shape[0]):
        value = batch.values[offset + n]
        tile.peak[n] = _larger(tile.peak[n], value)
        tile.low[n] = _smaller(tile.low[n], value)
        tile.positive[n] += np.int32(value > np.float32(0))
        distance = value - centre[n]
        square = distance * distance
        tile.first[n] += distance
        tile.second[n] += square
        tile.third[n] += square * distance
        tile.fourth[n] += square * square


@compiled_loop
def _larger(a: np.float32, b: np.float32) -> np.float32:
    """The larger of two numbers. The built-in ``max`` handles NaN, which ``_add_up`` finds, and is not vectorised."""
    return a if a > b else b


@compiled_loop
def _smaller(a: np.float32, b: np.float32) -> np.float32:
    return a if a < b else b


@compiled_loop
def _add_up(begin: int, tile: Tile, totals: Totals) -> bool:
    """Add one excerpt's statistics to the totals. Returns False if a value is not finite."""
    width = tile.peak.shape[0]
    first, second, third, fourth = tile.first, tile.second, tile.third, tile.fourth
    sums = totals.sums[:, begin : begin + width]
    n_finite = 0
    for i in range(width):
        n_finite += int(np.isfinite(first[i]))
    for i in range(width):
        sums[0, i] += first[i]
        sums[1, i] += second[i]
        sums[2, i] += third[i]
        sums[3, i] += fourth[i]
    peak, low, positive = tile.peak, tile.low, tile.positive
    minimum, maximum = totals.minimum[begin : begin + width], totals.maximum[begin : begin + width]
    count = totals.positive[begin : begin + width]
    for i in range(width):
        minimum[i] = _smaller(minimum[i], low[i])
        maximum[i] = _larger(maximum[i], peak[i])
        count[i] += positive[i]
    return bool(n_finite == width)


@compiled_loop
def _count_peaks(begin: int, tile: Tile, limits: Limits, totals: Totals) -> None:
    """Count peaks in their bins, as ``bounds.peak_bins`` does."""
    width, n_bins = tile.peak.shape[0], totals.peak_counts.shape[1]
    peak, bins = tile.peak, tile.peak_bins
    low, scale = limits.peak_low[begin : begin + width], limits.peak_scale[begin : begin + width]
    for i in range(width):
        share = _smaller(_larger((peak[i] - low[i]) * scale[i], np.float32(0)), np.float32(1))
        square = np.int32(share * np.float32(n_bins * n_bins))
        root = np.int32(np.sqrt(np.float32(square)))
        root -= np.int32(root * root > square)
        root += np.int32((root + 1) * (root + 1) <= square)
        bins[i] = min(root, np.int32(n_bins - 1))
    for i in range(width):
        totals.peak_counts[begin + i, bins[i]] += np.int32(1)


@compiled_loop
def _count_values(batch: Excerpts, start: int, begin: int, tile: Tile, limits: Limits, totals: Totals) -> None:
    width, last = tile.peak.shape[0], np.float32(totals.histogram.shape[1] - 1)
    bins = tile.value_bins
    low, scale = limits.value_low[begin : begin + width], limits.value_scale[begin : begin + width]
    for t in range(batch.tokens):
        row = batch.values[start + t * batch.step : start + t * batch.step + width]
        for i in range(width):
            bins[i] = np.int32(_smaller(_larger((row[i] - low[i]) * scale[i], np.float32(0)), last))
        for i in range(width):
            totals.histogram[begin + i, bins[i]] += np.int32(1)


@compiled_loop
def _choose(hashed: np.uint32, begin: int, tile: Tile, limits: Limits, pools: LayerPools) -> None:
    """The keys of one excerpt, and the neurons whose pools it may enter.

    The pool ``leaders`` needs no test of its own: its bar is never below that of ``top``.
    """
    width = tile.peak.shape[0]
    peak, by_peak, by_chance, wanted, bins = tile.peak, tile.by_peak, tile.by_chance, tile.wanted, tile.peak_bins
    of_neuron = limits.chance[begin : begin + width]
    top, uniform = pools.top.bar[begin : begin + width], pools.uniform.bar[begin : begin + width]
    weighted = pools.weighted.bar[begin : begin + width]
    for i in range(width):
        by_peak[i] = sortable(peak[i])
        by_chance[i] = priority(hashed, of_neuron[i])
        wanted[i] = (by_peak[i] > top[i]) | (by_chance[i] > uniform[i])
    for i in range(width):
        wanted[i] |= _weighted(by_chance[i], limits.levels[begin + i, bins[i]]) > weighted[i]


@compiled_loop
def _weighted(chance: np.int32, level: np.uint8) -> np.int32:
    """The same as ``intake.weighted``, for one excerpt and neuron."""
    return np.int32(_HIGHEST - ((_HIGHEST - chance) >> np.int32(level))) if level > 0 else _NEVER


@compiled_loop
def _offer(
    batch: Excerpts, tokens: Tokens, where: tuple[int, int, int], tile: Tile, limits: Limits, pools: LayerPools
) -> None:
    """Offer an excerpt to one neuron's pools; ``where`` is the excerpt, the neuron, and its index in the tile."""
    b, row, i = where
    offset, ordinal, peak = b * batch.stride + row, batch.ordinals[b], tile.peak[i]
    key = tile.by_peak[i]
    if key > pools.top.bar[row] or key > pools.leaders.bar[row]:
        text = _text(batch, tokens, (b, offset), peak)
        enter_distinct(batch, offset, (row, int(key), int(ordinal), int(text)), peak, pools.top, pools.top_texts)
        slot = enter(batch, offset, (row, int(key), int(ordinal)), peak, pools.leaders)
        if slot >= 0:
            pools.leader_texts[row, slot] = text
    enter(batch, offset, (row, int(tile.by_chance[i]), int(ordinal)), peak, pools.uniform)
    weighted = _weighted(tile.by_chance[i], limits.levels[row, tile.peak_bins[i]])
    enter(batch, offset, (row, int(weighted), int(ordinal)), peak, pools.weighted)


@compiled_loop
def _text(batch: Excerpts, tokens: Tokens, where: tuple[int, int], peak: float) -> np.int64:
    """The context up to the first peak; ``where`` is the excerpt and the index of its first value."""
    for t in range(batch.tokens):
        if batch.values[where[1] + t * batch.step] == peak:
            return np.int64(tokens.contexts[where[0], t])
    return np.int64(tokens.contexts[where[0], batch.tokens - 1])


@compiled_loop
def _add_tokens(where: tuple[int, int, int], batch: Excerpts, rows: Int32s, limits: Limits, token_sums: Int32s) -> None:
    """Add the activations of some neurons on one excerpt, which are still in the cache, to the sums of their tokens.

    ``where`` is the excerpt, the first neuron and the one after the last.
    """
    b, first, last = where
    width = last - first
    centre, per_unit = limits.centre[first:last], limits.per_unit[first:last]
    for t in range(batch.tokens):
        start = b * batch.stride + t * batch.step + first
        values, own = batch.values[start : start + width], token_sums[rows[b, t], first:last]
        for i in range(width):
            own[i] += np.int32(np.rint((values[i] - centre[i]) * per_unit[i]))


@compiled_loop
def carry(rows: Int64s, sums: Int32s, totals: Int64s) -> None:
    """Add rows of buffered sums to the totals."""
    for row in rows:
        own, total = sums[row], totals[row]
        for i in range(own.shape[0]):
            total[i] += np.int64(own[i])
            own[i] = np.int32(0)
