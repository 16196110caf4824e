"""Near-copies among the excerpts of many neurons at once: ``app.domain.copies`` as compiled loops."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Int64s
from app.domain.copies import shingle_hashes
from worker.collection.contexts import contexts
from worker.collection.plan import Excerpts
from worker.compiled_loops import compiled_loop

Hashes: TypeAlias = NDArray[np.uint64]
_NO_SHINGLE = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Texts:
    """Some excerpts of a corpus, E of them: ``ordinals`` ascend, ``shingles`` [E, S] are distinct and ascend in a row.

    ``sizes`` [E] is each row's number of shingles; the rest of the row is padding. ``contexts`` [E, T] are hashes of
    the context up to each token.
    """

    ordinals: Int64s
    shingles: Hashes
    sizes: Int64s
    contexts: Int64s

    @classmethod
    def of(cls, excerpts: Excerpts, ordinals: Int64s) -> "Texts":
        """The excerpts with these ordinals; -1 and repeated ordinals are left out."""
        wanted = np.unique(ordinals)
        wanted = wanted[wanted >= 0]
        token_ids = excerpts.tokens(wanted)
        hashes = np.sort(shingle_hashes(token_ids), axis=1)
        hashes[:, 1:][hashes[:, 1:] == hashes[:, :-1]] = _NO_SHINGLE
        hashes.sort(axis=1)
        sizes = (hashes != _NO_SHINGLE).sum(axis=1)
        return cls(wanted, hashes, sizes, contexts(token_ids, wanted))

    def rows_of(self, ordinals: Int64s) -> Int64s:
        """The rows of the excerpts with these ordinals; -1 for -1."""
        found = np.minimum(np.searchsorted(self.ordinals, ordinals), max(len(self.ordinals) - 1, 0))
        return np.where(ordinals >= 0, found, -1)

    def up_to(self, rows: Int64s, peaks: Int64s) -> Int64s:
        """The context up to the token ``peaks`` of each excerpt. Same shape."""
        if not len(self.ordinals):
            return np.zeros_like(rows)
        return np.asarray(self.contexts[np.maximum(rows, 0), peaks])


@dataclass(frozen=True, slots=True)
class Marked:
    """K excerpts of each of N neurons, [N, K]: their rows in ``Texts``, and the contexts up to their peaks."""

    rows: Int64s
    contexts: Int64s


def distinct(texts: Texts, marked: Marked, most: int) -> Bools:
    """The first ``most`` excerpts of each row that are no near-copies of an earlier one that is kept. [N, K]"""
    return _distinct(texts.shingles, texts.sizes, marked.rows, marked.contexts, most)


def alike_to_earlier(texts: Texts, marked: Marked) -> Bools:
    """Which excerpts of each row are near-copies of an earlier one. [N, K]"""
    return _alike_to_earlier(texts.shingles, texts.sizes, marked.rows, marked.contexts)


def alike_to_any(texts: Texts, marked: Marked, others: Marked) -> Bools:
    """Which excerpts of each row are near-copies of any in the same row of ``others``. [N, K]"""
    left, right = (marked.rows, marked.contexts), (others.rows, others.contexts)
    return _alike_to_any(texts.shingles, texts.sizes, left, right)


@compiled_loop
def _alike(shingles: Hashes, sizes: Int64s, a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two excerpts, each given by row and context up to its peak, are near-copies."""
    if a[0] == b[0] or a[1] == b[1]:
        return True
    left, right = shingles[a[0]], shingles[b[0]]
    n, m = sizes[a[0]], sizes[b[0]]
    i = j = shared = 0
    while i < n and j < m:
        if left[i] == right[j]:
            shared += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return bool(2 * shared >= min(n, m))


@compiled_loop
def _distinct(shingles: Hashes, sizes: Int64s, text_rows: Int64s, up_to: Int64s, most: int) -> Bools:
    kept = np.zeros(text_rows.shape, np.bool_)
    for row in range(text_rows.shape[0]):
        n = 0
        for i in range(text_rows.shape[1]):
            if text_rows[row, i] < 0 or n == most:
                continue
            new = True
            for j in range(i):
                if kept[row, j] and new:
                    own, other = (text_rows[row, i], up_to[row, i]), (text_rows[row, j], up_to[row, j])
                    new = not _alike(shingles, sizes, own, other)
            kept[row, i] = new
            n += int(new)
    return kept


@compiled_loop
def _alike_to_earlier(shingles: Hashes, sizes: Int64s, text_rows: Int64s, up_to: Int64s) -> Bools:
    found = np.zeros(text_rows.shape, np.bool_)
    for row in range(text_rows.shape[0]):
        for i in range(text_rows.shape[1]):
            for j in range(i):
                if text_rows[row, i] >= 0 and text_rows[row, j] >= 0 and not found[row, i]:
                    own, other = (text_rows[row, i], up_to[row, i]), (text_rows[row, j], up_to[row, j])
                    found[row, i] = _alike(shingles, sizes, own, other)
    return found


@compiled_loop
def _alike_to_any(shingles: Hashes, sizes: Int64s, left: tuple[Int64s, Int64s], right: tuple[Int64s, Int64s]) -> Bools:
    found = np.zeros(left[0].shape, np.bool_)
    for row in range(left[0].shape[0]):
        for i in range(left[0].shape[1]):
            for j in range(right[0].shape[1]):
                if left[0][row, i] >= 0 and right[0][row, j] >= 0 and not found[row, i]:
                    own, other = (left[0][row, i], left[1][row, i]), (right[0][row, j], right[1][row, j])
                    found[row, i] = _alike(shingles, sizes, own, other)
    return found
