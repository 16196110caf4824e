"""Which neurons of a layer are most like each one: they fire on the same tokens, and they read the same directions.

Co-firing is the correlation of two neurons' mean activations by token, each token weighted by its occurrences: what
the sums of a collection know exactly, whatever its parts. Where a collection counts more than ``MOST_TOKENS`` tokens,
the most frequent ones are compared. Input weights are compared by their cosine. Both are between -1 and 1, and a pair's
likeness is their mean; where one is not known, it is the other alone.
"""

import numpy as np

from app.domain.arrays import Bools, Float64s
from worker.collection.state import State
from worker.collection.token_sums import TokenRows

NEAREST = 8
"""Neurons that are stored of each: more than are compared, since some have no records of their own."""
MOST_TOKENS = 4096
_AT_ONCE = 1024
"""Rows of the square of likenesses that are in memory at a time."""


def layer_nearest(state: State, layer: int, rows: TokenRows, known: Bools, weights: Float64s | None) -> list[list[int]]:
    """The ``NEAREST`` other neurons of the layer that are most like each of N, the nearest first; ties by index.

    ``known`` [N] are the neurons whose sums by token are right. ``weights`` [N, D] are the neurons' input weights, None
    where the site has none. Fewer, or none, for a neuron that is not like any other: likenesses of 0 and below do not
    count.
    """
    n = min(MOST_TOKENS, len(rows.token_ids))
    sums = state.tensors["token_sums"][layer][:n].cpu().numpy().astype(np.float64)
    sums[:, ~known] = 0
    counts = rows.counts[:n].astype(np.float64)
    return nearest(profiles(sums, counts), None if weights is None else unit_rows(weights))


def profiles(sums: Float64s, counts: Float64s) -> Float64s:
    """Unit vectors [N, R] whose products are the correlations of mean activations by token, weighted by ``counts``.

    ``sums`` [R, N] are of activations in any units of the neuron's own, from any origin. A neuron whose means are all
    the same is 0.
    """
    means = sums / counts[:, None]
    means -= counts @ means / counts.sum()
    return unit_rows((means * np.sqrt(counts)[:, None]).T)


def unit_rows(values: Float64s) -> Float64s:
    """Rows of length 1; a row that is 0, or nearly so beside the largest, stays 0."""
    lengths = np.linalg.norm(values, axis=1)
    moves = lengths > _ROUNDING * lengths.max(initial=0)
    return np.asarray(np.where(moves, 1 / np.where(moves, lengths, 1), 0)[:, None] * values)


_ROUNDING = 1e-12


def nearest(firing: Float64s, weights: Float64s | None) -> list[list[int]]:
    """The most alike of N neurons by unit vectors [N, R] of their firing and [N, D] of their weights, as indices."""
    kinds = [firing] if weights is None else [firing, weights]
    known = np.stack([kind.any(axis=1) for kind in kinds]).astype(np.float64)  # [kinds, N]
    found: list[list[int]] = []
    for first in range(0, len(firing), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        both = sum(np.outer(k[part], k) for k in known)
        likeness = sum(kind[part] @ kind.T for kind in kinds) / np.maximum(both, 1)
        rows = np.arange(len(likeness))
        likeness[rows, first + rows] = -np.inf
        # Likenesses that differ by rounding alone are equal, so that the order does not depend on the processor.
        likeness = np.round(likeness, 9)
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :NEAREST]
        values = np.take_along_axis(likeness, order, axis=1)
        found += [own[kept].tolist() for own, kept in zip(order, values > 0, strict=True)]
    return found
