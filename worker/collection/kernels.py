"""Compiled loops that take activations in on a processor: each value is read once, while it is in the cache.

The same as ``intake.TensorIntake`` says in tensor operations, tile by tile: 256 neurons on one excerpt. An
excerpt that enters a pool is copied there and then, while its values are near. Neurons are independent of
each other, so any division of them among threads gives the same bits.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker.collection.best import LAST, NEVER
from worker.collection.state import POOLS
from worker.compiled_loops import compiled_loop

Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]
Int32s: TypeAlias = NDArray[np.int32]
Int64s: TypeAlias = NDArray[np.int64]

TILE = 256
"""Neurons at a time: what is kept of an excerpt, 53 bytes each, stays in a first-level cache."""
_N_POOLS = len(POOLS)
_NEVER = np.int32(NEVER)
_LAST = np.int64(LAST)


class Excerpts(NamedTuple):
    """A batch on one layer. ``values`` is flat: excerpt, token and neuron lie at b * stride + t * step + n."""

    values: Float32s
    stride: int
    step: int
    tokens: int
    ordinals: Int64s
    hashes: NDArray[np.uint32]
    in_histogram: NDArray[np.bool_]


class Limits(NamedTuple):
    """What the pilot fixed for the N neurons of the layer, and their hashes."""

    centre: Float32s
    peak_low: Float32s
    peak_scale: Float32s
    value_low: Float32s
    value_scale: Float32s
    high: Float32s
    highest: Float32s
    random: NDArray[np.uint32]
    spread: NDArray[np.uint32]


class Totals(NamedTuple):
    """What is added to: ``sums`` [4, N] of the shard; counts [N, bins]; the rest [N]."""

    sums: Float64s
    minimum: Float32s
    maximum: Float32s
    positive: Int64s
    peak_counts: Int32s
    histogram: Int32s


class Pools(NamedTuple):
    """The pools of the layer, row = pool * N + neuron, as in ``Best``; float16 ``values`` as their bits."""

    scores: Int64s
    peaks: Float32s
    values: NDArray[np.uint16]
    bar: Int32s


class Tile(NamedTuple):
    """One excerpt's statistics of the neurons of a tile, and room to work in; [width] each, ``keys`` [pools, width].

    Loops bind what they use to local names first: the compiler makes vector instructions of such loops alone.
    """

    peak: Float32s
    low: Float32s
    positive: Int32s
    first: Float32s
    second: Float32s
    third: Float32s
    fourth: Float32s
    bins: Int32s
    keys: Int32s
    wanted: NDArray[np.bool_]


@compiled_loop
def take_in(neurons: tuple[int, int], batch: Excerpts, limits: Limits, totals: Totals, pools: Pools) -> bool:
    """Take in the neurons from ``neurons[0]`` up to ``neurons[1]``. False where a value was not finite."""
    finite = True
    for begin in range(neurons[0], neurons[1], TILE):
        tile = _tile(min(TILE, neurons[1] - begin))
        for b in range(batch.ordinals.shape[0]):
            start = b * batch.stride + begin
            _summarise(batch, start, begin, limits.centre, tile)
            finite &= _add_up(begin, tile, totals)
            _count_peaks(begin, tile, limits, totals)
            if batch.in_histogram[b]:
                _count_values(batch, start, begin, tile, limits, totals)
            _offer(batch, b, begin, tile, limits, pools)
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
        np.empty((_N_POOLS, width), np.int32),
        np.empty(width, np.bool_),
    )


@compiled_loop
def _summarise(batch: Excerpts, start: int, begin: int, centres: Float32s, tile: Tile) -> None:
    """All that looks at every value, four tokens at a time: statistics are loaded and stored less often."""
    tile.peak[:], tile.low[:], tile.positive[:] = -np.inf, np.inf, 0
    tile.first[:], tile.second[:], tile.third[:], tile.fourth[:] = 0, 0, 0, 0
    centre = centres[begin : begin + tile.peak.shape[0]]
    whole = batch.tokens // 4 * 4
    for t in range(0, whole, 4):
        _four_tokens(batch, start + t * batch.step, centre, tile)
    for t in range(whole, batch.tokens):
        _one_token(batch, start + t * batch.step, centre, tile)


@compiled_loop
def _four_tokens(batch: Excerpts, place: int, centre: Float32s, tile: Tile) -> None:
    """Powers are centred, so that they do not drown in a large mean."""
    width, step = centre.shape[0], batch.step
    row0 = batch.values[place : place + width]
    row1 = batch.values[place + step : place + step + width]
    row2 = batch.values[place + 2 * step : place + 2 * step + width]
    row3 = batch.values[place + 3 * step : place + 3 * step + width]
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
def _one_token(batch: Excerpts, place: int, centre: Float32s, tile: Tile) -> None:
    for n in range(centre.shape[0]):
        value = batch.values[place + n]
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
    """Written out: the built-in one minds NaN, which ``_add_up`` finds, and is not made of vector instructions."""
    return a if a > b else b


@compiled_loop
def _smaller(a: np.float32, b: np.float32) -> np.float32:
    return a if a < b else b


@compiled_loop
def _add_up(begin: int, tile: Tile, totals: Totals) -> bool:
    """Bring one excerpt's statistics into the totals. False where a value was not finite."""
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
    """Count peaks in bins that are finest at the low end, where most of them lie."""
    width, n_bins = tile.peak.shape[0], totals.peak_counts.shape[1]
    peak, bins = tile.peak, tile.bins
    low, scale = limits.peak_low[begin : begin + width], limits.peak_scale[begin : begin + width]
    for i in range(width):
        share = _smaller(_larger((peak[i] - low[i]) * scale[i], np.float32(0)), np.float32(1))
        bins[i] = np.int32(_smaller(np.sqrt(share) * np.float32(n_bins), np.float32(n_bins - 1)))
    for i in range(width):
        totals.peak_counts[begin + i, bins[i]] += np.int32(1)


@compiled_loop
def _count_values(batch: Excerpts, start: int, begin: int, tile: Tile, limits: Limits, totals: Totals) -> None:
    width, last = tile.peak.shape[0], np.float32(totals.histogram.shape[1] - 1)
    bins = tile.bins
    low, scale = limits.value_low[begin : begin + width], limits.value_scale[begin : begin + width]
    for t in range(batch.tokens):
        row = batch.values[start + t * batch.step : start + t * batch.step + width]
        for i in range(width):
            bins[i] = np.int32(_smaller(_larger((row[i] - low[i]) * scale[i], np.float32(0)), last))
        for i in range(width):
            totals.histogram[begin + i, bins[i]] += np.int32(1)


@compiled_loop
def _offer(batch: Excerpts, b: int, begin: int, tile: Tile, limits: Limits, pools: Pools) -> None:
    """Offer one excerpt to the pools, in the order of ``state.POOLS``. First all keys, then the few that enter."""
    n_neurons, width = limits.centre.shape[0], tile.peak.shape[0]
    _keys(batch.hashes[b], begin, tile, limits)
    wanted, keys = tile.wanted, tile.keys
    wanted[:] = False
    for pool in range(_N_POOLS):
        row = pool * n_neurons + begin
        key, bar = keys[pool], pools.bar[row : row + width]
        for i in range(width):
            wanted[i] |= key[i] > bar[i]
    for i in range(width):
        if wanted[i]:
            for pool in range(_N_POOLS):
                row = pool * n_neurons + begin + i
                if keys[pool, i] > pools.bar[row]:
                    place = b * batch.stride + begin + i
                    enter(batch, place, (row, keys[pool, i], batch.ordinals[b]), tile.peak[i], pools)


@compiled_loop
def _keys(excerpt: np.uint32, begin: int, tile: Tile, limits: Limits) -> None:
    width = tile.peak.shape[0]
    peak, keys = tile.peak, tile.keys
    top, random, spread, high, highest = keys[0], keys[1], keys[2], keys[3], keys[4]
    of_random, of_spread = limits.random[begin : begin + width], limits.spread[begin : begin + width]
    lower, upper = limits.high[begin : begin + width], limits.highest[begin : begin + width]
    for i in range(width):
        top[i] = _sortable(peak[i])
        random[i] = priority(excerpt, of_random[i])
        spread[i] = priority(excerpt, of_spread[i])
    for i in range(width):
        high[i] = spread[i] if peak[i] >= lower[i] else _NEVER
        highest[i] = spread[i] if peak[i] >= upper[i] else _NEVER


@compiled_loop
def enter(batch: Excerpts, place: int, candidate: tuple[int, int, int], peak: float, pools: Pools) -> None:
    """Let an excerpt in at the lowest score's place; the bar rises to the lowest that is left."""
    row, key, ordinal = candidate
    scores = pools.scores[row]
    score = (np.int64(key) << np.int64(32)) | (_LAST - ordinal)
    slot = np.argmin(scores)
    if score > scores[slot]:
        scores[slot] = score
        pools.peaks[row, slot] = peak
        values = pools.values[row, slot]
        for t in range(batch.tokens):
            values[t] = half(batch.values[place + t * batch.step])
    lowest = np.int32(scores.min() >> np.int64(32))
    pools.bar[row] = max(pools.bar[row], lowest)


@compiled_loop
def priority(excerpt: np.uint32, neuron: np.uint32) -> np.int32:
    """As ``chance.priorities``."""
    mixed = np.uint32(excerpt ^ neuron)
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.int32((mixed ^ (mixed >> np.uint32(16))) & np.uint32(0x7FFFFFFF))


@compiled_loop
def _sortable(value: np.float32) -> np.int32:
    """As ``best.sortable``."""
    bits = np.float32(value + np.float32(0)).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@compiled_loop
def half(value: np.float32) -> np.uint16:
    """The bits of the nearest float16, ties to even (IEEE 754-2019, 4.3.1); the compiler here has no float16."""
    bits = np.float32(value).view(np.uint32)
    sign = np.uint32((bits >> np.uint32(16)) & np.uint32(0x8000))
    size = np.uint32(bits & np.uint32(0x7FFFFFFF))
    if size >= np.uint32(0x47800000):  # 65,536 and more, infinity, not a number
        return np.uint16(sign | (np.uint32(0x7E00) if size > np.uint32(0x7F800000) else np.uint32(0x7C00)))
    if size < np.uint32(0x38800000):  # below 2**-14: a whole number of units of 2**-24
        units = np.rint(np.float64(np.uint32(size).view(np.float32)) * 16777216.0)
        return np.uint16(sign | np.uint32(units))
    odd = np.uint32((size >> np.uint32(13)) & np.uint32(1))
    rounded = np.uint32(size - np.uint32(0x38000000) + np.uint32(0xFFF) + odd)
    return np.uint16(sign | (rounded >> np.uint32(13)))
