"""Baselines of the demo model: a byte n-gram model and a compressor. Needs numpy only."""

import lzma
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Float64s, Int64s

ORDER = 5
BYTE_VALUES = 256

Codes = NDArray[np.uint64]
Counts = Int64s


def bits_per_byte(nats: float, size: int) -> float:
    """Return bits per byte of text whose `size` bytes cost `nats` of negative log-likelihood."""
    return nats / math.log(2) / size


def xz_size(text: bytes) -> int:
    """Return the size in bytes of `text` as `xz -9` packs it."""
    return len(lzma.compress(text, preset=9))


@dataclass(frozen=True)
class _Table:
    """Counts at one context length; codes are sorted. A code holds the bytes of a context, then the byte after it."""

    pairs: Codes
    pair_counts: Counts
    contexts: Codes
    context_counts: Counts
    context_kinds: Counts


class ByteNgrams:
    """An interpolated Witten-Bell model of bytes that looks back at most `ORDER` = 5 bytes.

    "Order 5" is read as five bytes of context, thus 6-grams: the stronger of the two readings. With N(c) the count of
    a context c, T(c) the number of different bytes seen after it, and c' the context without its oldest byte:
    P(b|c) = (N(cb) + T(c) P(b|c')) / (N(c) + T(c)), ending in 1/256 for every byte (Witten and Bell 1991, method C).
    A document starts after five NUL bytes, which are never predicted.
    """

    def __init__(self, documents: Iterable[bytes]) -> None:
        text, predicted = _lay_out(documents)
        self._tables = [_count(codes[predicted]) for codes in _codes(text)]

    def nats(self, documents: Iterable[bytes]) -> float:
        """Return the negative log-likelihood of all bytes of `documents`, in nats."""
        text, predicted = _lay_out(documents)
        chances = np.full(int(predicted.sum()), 1.0 / BYTE_VALUES)
        for table, codes in zip(self._tables, _codes(text), strict=True):
            chances = _refine(chances, table, codes[predicted])
        return float(-np.log(chances).sum())

    def distribution(self, context: bytes) -> Float64s:
        """Return P(byte | the last five bytes of `context`), float64[256]."""
        context = context.rjust(ORDER, b"\0")[-ORDER:]
        chances = np.full(BYTE_VALUES, 1.0 / BYTE_VALUES)
        following = np.arange(BYTE_VALUES, dtype=np.uint64)
        for length, table in enumerate(self._tables):
            seen = np.uint64(int.from_bytes(context[ORDER - length :]) << 8)
            chances = _refine(chances, table, seen | following)
        return chances


def _lay_out(documents: Iterable[bytes]) -> tuple[NDArray[np.uint8], Bools]:
    padding = b"\0" * ORDER
    parts = list(documents)
    text = np.frombuffer(b"".join(padding + part for part in parts), dtype=np.uint8)
    predicted = np.ones(len(text), dtype=np.bool_)
    starts = np.cumsum([0] + [ORDER + len(part) for part in parts])[:-1]
    for back in range(ORDER):
        predicted[starts + back] = False
    return text, predicted


def _codes(text: NDArray[np.uint8]) -> Iterable[Codes]:
    """Yield for context lengths 0..ORDER the code of every position: its byte lowest, the byte before it next."""
    codes: Codes = np.zeros(len(text), dtype=np.uint64)
    for length in range(ORDER + 1):
        codes = codes.copy()
        codes[length:] |= text[: len(text) - length].astype(np.uint64) << np.uint64(8 * length)
        yield codes


def _count(codes: Codes) -> _Table:
    pairs, pair_counts = np.unique(codes, return_counts=True)
    contexts, first, kinds = np.unique(pairs >> np.uint64(8), return_index=True, return_counts=True)
    return _Table(pairs, pair_counts, contexts, np.add.reduceat(pair_counts, first), kinds)


def _refine(chances: Float64s, table: _Table, codes: Codes) -> Float64s:
    contexts = codes >> np.uint64(8)
    seen = _look_up(table.pairs, table.pair_counts, codes)
    total = _look_up(table.contexts, table.context_counts, contexts)
    kinds = _look_up(table.contexts, table.context_kinds, contexts)
    refined: Float64s = np.where(total > 0, (seen + kinds * chances) / np.maximum(total + kinds, 1), chances)
    return refined


def _look_up(sorted_codes: Codes, counts: Counts, wanted: Codes) -> Counts:
    places = np.minimum(np.searchsorted(sorted_codes, wanted), len(sorted_codes) - 1)
    found: Counts = np.where(sorted_codes[places] == wanted, counts[places], 0)
    return found
