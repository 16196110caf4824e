"""Randomness without shared state: hashes, which are the same in every process and at any time.

The k excerpts with the highest priority are a uniform sample, and the best k of two parts' best k are the best k of the
whole. Mixers: SplitMix64 (Steele et al. 2014) and MurmurHash3's 32-bit finaliser.
"""

import numpy as np
import torch
from jaxtyping import Int32
from numpy.typing import NDArray
from torch import Tensor

from app.domain.arrays import Int64s

_STEP, _FIRST, _SECOND = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


HIGHEST_PRIORITY = 2**31 - 1


def hash64(seed: int, purpose: int, numbers: Int64s) -> NDArray[np.uint64]:
    """A well-mixed 64-bit hash of each of ``numbers``; different ``purpose``s give independent hashes."""
    with np.errstate(over="ignore"):
        start = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) + np.uint64(purpose) * _STEP)
        mixed: NDArray[np.uint64] = _mix(numbers.astype(np.uint64) * _STEP + start)
    return mixed


def hash32(seed: int, purpose: int, numbers: Int64s) -> Tensor:
    """The upper half of ``hash64``: int32 [len(numbers)]."""
    return torch.from_numpy((hash64(seed, purpose, numbers) >> np.uint64(32)).astype(np.uint32).view(np.int32))


def lowest(seed: int, purpose: int, population: int, n: int) -> Int64s:
    """``n`` of the numbers below ``population``, uniformly, in ascending order.

    Works in blocks, so that memory does not grow with the population.
    """
    best_hash, best = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    for first in range(0, population, 1 << 20):
        numbers = np.arange(first, min(first + (1 << 20), population), dtype=np.int64)
        hashes = np.concatenate([best_hash, hash64(seed, purpose, numbers)])
        numbers = np.concatenate([best, numbers])
        order = np.lexsort((numbers, hashes))[:n]
        best_hash, best = hashes[order], numbers[order]
    return np.sort(best)


def priorities(excerpts: Int32[Tensor, " batch"], neurons: Int32[Tensor, " n"]) -> Int32[Tensor, "batch n"]:
    """A priority of 0..2**31-1 for every pair, from the hashes of both."""
    return scrambled(excerpts[:, None] ^ neurons[None, :])


def scrambled(mixed: Int32[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
    """A priority of 0..2**31-1 for each number; overwrites its argument."""
    mixed.bitwise_xor_(_shifted(mixed, 16)).mul_(-2048144789)  # 0x85ebca6b
    mixed.bitwise_xor_(_shifted(mixed, 13)).mul_(-1028477387)  # 0xc2b2ae35
    return mixed.bitwise_xor_(_shifted(mixed, 16)).bitwise_and_(0x7FFFFFFF)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """A logical shift to the right; torch's own shift is arithmetic."""
    return (values >> bits).bitwise_and_((1 << (32 - bits)) - 1)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))
