"""The most similar neurons of each neuron in its layer: they fire on the same tokens and read the same directions.

Co-firing is the correlation of two neurons' mean activations by token, weighted by the tokens' occurrences. A
collection's token sums give it exactly. If a collection counts more than ``MOST_TOKENS`` tokens, the most frequent ones
are used. Input weights are compared by their cosine. Both are between -1 and 1, and the similarity of a pair is their
mean, or the known one if the other is not known.
"""

import numpy as np

from app.domain.arrays import Bools, Float64s
from worker.collection.state import State
from worker.collection.token_sums import TokenRows

NEAREST = 8
"""Neighbours stored per neuron; more than are compared, since some have no records of their own."""
MOST_TOKENS = 4096
_AT_ONCE = 1024
"""Rows of the similarity matrix that are in memory at a time."""


def layer_nearest(state: State, layer: int, rows: TokenRows, known: Bools, weights: Float64s | None) -> list[list[int]]:
    """The ``NEAREST`` most similar other neurons of the layer for each of N, the most similar first; ties by index.

    ``known`` [N] are the neurons whose token sums are valid. ``weights`` [N, D] are input weights, None if the site has
    none. A neuron has fewer neighbours, or none, if its other similarities are 0 or below.
    """
    n = min(MOST_TOKENS, len(rows.token_ids))
    sums = state.tensors["token_sums"][layer][:n].cpu().numpy().astype(np.float64)
    sums[:, ~known] = 0
    counts = rows.counts[:n].astype(np.float64)
    return nearest(profiles(sums, counts), None if weights is None else unit_rows(weights))


def profiles(sums: Float64s, counts: Float64s) -> Float64s:
    """Unit vectors [N, R] whose products are the correlations of mean activations by token, weighted by ``counts``.

    ``sums`` [R, N] are of activations, in any units and from any origin per neuron. A neuron with constant means gets
    0.
    """
    means = sums / counts[:, None]
    means -= counts @ means / counts.sum()
    return unit_rows((means * np.sqrt(counts)[:, None]).T)


def unit_rows(values: Float64s) -> Float64s:
    """Rows scaled to length 1; a row that is 0, or nearly 0 beside the largest, stays 0."""
    lengths = np.linalg.norm(values, axis=1)
    moves = lengths > _ROUNDING * lengths.max(initial=0)
    return np.asarray(np.where(moves, 1 / np.where(moves, lengths, 1), 0)[:, None] * values)


_ROUNDING = 1e-12


def nearest(firing: Float64s, weights: Float64s | None) -> list[list[int]]:
    """Indices of the most similar of N neurons, by unit vectors [N, R] of their firing and [N, D] of their weights."""
    kinds = [firing] if weights is None else [firing, weights]
    known = np.stack([kind.any(axis=1) for kind in kinds]).astype(np.float64)  # [kinds, N]
    found: list[list[int]] = []
    for first in range(0, len(firing), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        both = sum(np.outer(k[part], k) for k in known)
        likeness = sum(kind[part] @ kind.T for kind in kinds) / np.maximum(both, 1)
        rows = np.arange(len(likeness))
        likeness[rows, first + rows] = -np.inf
        # rounded, so that the order of near-ties does not depend on the processor
        likeness = np.round(likeness, 9)
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :NEAREST]
        values = np.take_along_axis(likeness, order, axis=1)
        found += [own[kept].tolist() for own, kept in zip(order, values > 0, strict=True)]
    return found
