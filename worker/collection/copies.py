"""Leave exact copies out of a cut corpus: every text enters a collection once.

A copy has the same activations as the original. If copies counted, a licence text in every file would fill the samples
of the neurons that fire on it, and bias every statistic.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Int32s
from app.domain.copies import SHINGLE, shingle_hashes

AT_ONCE = 1 << 14
"""Excerpts read at once. In addition, an 8-byte hash of every excerpt of the corpus is in memory."""


def leave_out_copies(folder: Path, *, n_excerpts: int, context_length: int) -> int:
    """Rewrite ``excerpts.bin`` and ``places.bin`` of ``folder`` without exact copies of earlier excerpts.

    The order of the other excerpts is preserved. Returns their number.
    """
    tokens = np.memmap(folder / "excerpts.bin", dtype=np.int32, mode="r+", shape=(n_excerpts, context_length))
    places = np.memmap(folder / "places.bin", dtype=np.int64, mode="r+", shape=(n_excerpts, 2))
    kept = np.flatnonzero(~_copies(tokens))
    for first in range(0, len(kept), AT_ONCE):
        part = kept[first : first + AT_ONCE]
        # Excerpts only move towards the beginning, so nothing unread is overwritten.
        tokens[first : first + len(part)], places[first : first + len(part)] = tokens[part], places[part]
    for name, rows in (("excerpts.bin", tokens), ("places.bin", places)):
        rows.flush()
        size = len(kept) * rows.shape[1] * rows.itemsize
        with (folder / name).open("r+b") as stream:
            stream.truncate(size)
            os.fsync(stream.fileno())
    return len(kept)


def _copies(tokens: Int32s) -> Bools:
    """Which excerpts [E] of [E, T] equal an earlier one. Hashes find candidates, tokens decide."""
    hashes = np.concatenate(
        [text_hashes(np.asarray(tokens[first : first + AT_ONCE])) for first in range(0, len(tokens), AT_ONCE)]
    )
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], hashes[order][1:] != hashes[order][:-1]]))
    first = np.empty(len(hashes), dtype=np.int64)
    first[order] = np.repeat(order[starts], np.diff([*starts, len(order)]))
    found = np.zeros(len(hashes), dtype=bool)
    alike = np.flatnonzero(first != np.arange(len(first)))
    for start in range(0, len(alike), AT_ONCE):
        part = alike[start : start + AT_ONCE]
        found[part] = (tokens[part] == tokens[first[part]]).all(axis=1)
    return found


def text_hashes(token_ids: Int32s) -> NDArray[np.uint64]:
    """A 64-bit hash of each text [B, T]."""
    shingles = shingle_hashes(token_ids)
    with np.errstate(over="ignore"):
        odd = np.uint64(2) * np.arange(shingles.shape[1], dtype=np.uint64) + np.uint64(SHINGLE + 1)
        mixed = (shingles ^ (shingles >> np.uint64(32))) * (odd * np.uint64(0x9E3779B97F4A7C15))
        return np.asarray(mixed.sum(axis=1, dtype=np.uint64))
