"""When two excerpts count as the same text: near-copies, for samples and for splits.

Two excerpts are alike where the 8 tokens up to their peaks are the same (a causal model has then seen the same when
the neuron fired), or where the smaller set of their 8-token shingles is at least half in the other (the same text cut
at another position). The relation is symmetric but not transitive. Shingling: Broder, "On the resemblance and
containment of documents" (1997).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Int64s

SHINGLE = 8
"""Tokens in a shingle. A shorter text is a single shingle."""
LEAST_SHARED = 0.5
"""The share of the smaller set of shingles that two near-copies have in common at least."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xBF58476D1CE4E5B9)

Hashes = NDArray[np.uint64]


def shingle_hashes(token_ids: NDArray[np.integer]) -> Hashes:
    """A 64-bit hash of every run of ``SHINGLE`` tokens, in order: [..., T] gives [..., T - 7].

    A text of fewer tokens has one hash, an empty text none.
    """
    length = token_ids.shape[-1]
    width = min(SHINGLE, length)
    if width == 0:
        return np.empty(token_ids.shape, dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = (token_ids.astype(np.uint64) + np.uint64(1)) * _MIXER
        mixed ^= mixed >> np.uint64(29)
        hashes = np.full((*token_ids.shape[:-1], length - width + 1), width, dtype=np.uint64)
        for offset in range(width):
            hashes = hashes * _FACTOR + mixed[..., offset : offset + hashes.shape[-1]]
        hashes ^= hashes >> np.uint64(31)
    return hashes


def alike(texts: Sequence[NDArray[np.integer]], peaks: Sequence[int]) -> Bools:
    """Which of R texts are near-copies of each other, [R, R]; the diagonal is true except for empty texts.

    ``texts`` are token ids [T], ``peaks`` the index of each text's peak token.
    """
    hashes = _hashes_of(texts)
    shared, sizes = _shared(hashes)
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    found = (shared >= LEAST_SHARED * smaller) & (smaller > 0)
    contexts = [
        (i, int(h[peak - SHINGLE + 1]))
        for i, (text, h, peak) in enumerate(zip(texts, hashes, peaks, strict=True))
        if len(text) >= SHINGLE and peak >= SHINGLE - 1
    ]
    if contexts:
        indices = np.array([i for i, _ in contexts])
        values = np.array([value for _, value in contexts], dtype=np.uint64)
        found[np.ix_(indices, indices)] |= values[:, None] == values[None, :]
    return found


def _hashes_of(texts: Sequence[NDArray[np.integer]]) -> list[Hashes]:
    """The hashes of each text's shingles. Texts of equal length, as nearly all are, are hashed at once."""
    of_length: dict[int, list[int]] = {}
    for i, text in enumerate(texts):
        of_length.setdefault(len(text), []).append(i)
    found: dict[int, Hashes] = {}
    for indices in of_length.values():
        found |= zip(indices, shingle_hashes(np.stack([texts[i] for i in indices])), strict=True)
    return [found[i] for i in range(len(texts))]


def _shared(texts: Sequence[Hashes]) -> tuple[Int64s, Int64s]:
    """The number of distinct shingles that every two of n texts share [n, n], and that each text has [n]."""
    n = len(texts)
    owners = np.repeat(np.arange(n), [len(text) for text in texts])
    hashes = np.concatenate(texts) if n else np.empty(0, dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")  # equal ones stay in the order of their owners
    owners, hashes = owners[order], hashes[order]
    begins = np.ones(len(hashes), dtype=bool)
    begins[1:] = hashes[1:] != hashes[:-1]
    first = begins.copy()  # of its owner
    first[1:] |= owners[1:] != owners[:-1]
    owners, begins = owners[first], begins[first]
    sizes = np.bincount(owners, minlength=n)
    # Most shingles occur in a single text: only the others enter the product.
    group = np.cumsum(begins) - 1
    several = np.bincount(group)[group] > 1 if len(group) else first
    begins, owners = begins[several], owners[several]
    holds = np.zeros((n, int(begins.sum())), dtype=np.float32)
    holds[owners, np.cumsum(begins) - 1] = 1
    shared = np.rint(holds @ holds.T).astype(np.int64)
    np.fill_diagonal(shared, sizes)
    return shared, sizes
