"""Compiled loops that add excerpts to pools, shared by the collection's pass and the checks of explanations."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Float32s, Int32s, Int64s
from worker.collection.best import EMPTY, LAST
from worker.compiled_loops import compiled_loop

_LAST = np.int64(LAST)
_EMPTY = np.int64(EMPTY)


class Excerpts(NamedTuple):
    """A batch on one layer. ``values`` is flat: excerpt b, token t, neuron n are at ``b * stride + t * step + n``."""

    values: Float32s
    stride: int
    step: int
    tokens: int
    ordinals: Int64s
    hashes: NDArray[np.uint32]
    in_histogram: Bools


class Pools(NamedTuple):
    """Rows of excerpts, as in ``Best``; ``values`` are the bits of float16."""

    scores: Int64s
    peaks: Float32s
    values: NDArray[np.uint16]
    bar: Int32s


@compiled_loop
def enter(batch: Excerpts, offset: int, candidate: tuple[int, int, int], peak: float, pools: Pools) -> int:
    """Put an excerpt into the slot of the lowest score; returns the slot, or -1 if the excerpt does not enter.

    The bar rises to the lowest remaining score.
    """
    row, key, ordinal = candidate
    if key <= pools.bar[row]:
        return -1
    scores = pools.scores[row]
    score = (np.int64(key) << np.int64(32)) | (_LAST - ordinal)
    slot = int(np.argmin(scores))
    entered = bool(score > scores[slot])
    if entered:
        _put(batch, offset, (row, slot, int(score)), peak, pools)
    pools.bar[row] = max(pools.bar[row], np.int32(scores.min() >> np.int64(32)))
    return slot if entered else -1


@compiled_loop
def enter_distinct(
    batch: Excerpts, offset: int, candidate: tuple[int, int, int, int], peak: float, pools: Pools, texts: Int64s
) -> None:
    """Put an excerpt into the pool, replacing a lower score of the same text if there is one."""
    row, key, ordinal, text = candidate
    if key > pools.bar[row]:
        scores, own = pools.scores[row], texts[row]
        score = (np.int64(key) << np.int64(32)) | (_LAST - ordinal)
        slot = int(np.argmin(scores))
        for other in range(scores.shape[0]):
            if own[other] == text and scores[other] != _EMPTY:
                slot = other
        if score > scores[slot]:
            _put(batch, offset, (row, slot, int(score)), peak, pools)
            own[slot] = text
        pools.bar[row] = max(pools.bar[row], np.int32(scores.min() >> np.int64(32)))


@compiled_loop
def _put(batch: Excerpts, offset: int, entry: tuple[int, int, int], peak: float, pools: Pools) -> None:
    row, slot, score = entry
    pools.scores[row, slot] = score
    pools.peaks[row, slot] = peak
    values = pools.values[row, slot]
    for t in range(values.shape[0]):
        values[t] = half(batch.values[offset + t * batch.step])


@compiled_loop
def priority(excerpt: np.uint32, neuron: np.uint32) -> np.int32:
    """The same as ``chance.priorities``, for one excerpt and neuron."""
    mixed = np.uint32(excerpt ^ neuron)
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.int32((mixed ^ (mixed >> np.uint32(16))) & np.uint32(0x7FFFFFFF))


@compiled_loop
def sortable(value: np.float32) -> np.int32:
    """The same as ``best.sortable``, for one value."""
    bits = np.float32(value + np.float32(0)).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@compiled_loop
def half(value: np.float32) -> np.uint16:
    """The bits of the nearest float16, ties to even (IEEE 754-2019, 4.3.1); numba has no float16 on processors."""
    bits = np.float32(value).view(np.uint32)
    sign = np.uint32((bits >> np.uint32(16)) & np.uint32(0x8000))
    size = np.uint32(bits & np.uint32(0x7FFFFFFF))
    if size >= np.uint32(0x47800000):  # 65,536 and above, infinity, NaN
        return np.uint16(sign | (np.uint32(0x7E00) if size > np.uint32(0x7F800000) else np.uint32(0x7C00)))
    if size < np.uint32(0x38800000):  # below 2**-14: an integer in units of 2**-24
        units = np.rint(np.float64(np.uint32(size).view(np.float32)) * 16777216.0)
        return np.uint16(sign | np.uint32(units))
    odd = np.uint32((size >> np.uint32(13)) & np.uint32(1))
    rounded = np.uint32(size - np.uint32(0x38000000) + np.uint32(0xFFF) + odd)
    return np.uint16(sign | (rounded >> np.uint32(13)))
