"""Compiled loops of the search for a sentence: the gain in correlation of each possible claim in every view."""

from typing import NamedTuple

import numpy as np

from app.domain.arrays import Bools, Float64s, Int64s
from worker.compiled_loops import compiled_loop

SMALLEST_VARIANCE = 1e-9


class Lists(NamedTuple):
    """A list of numbers for each of R rows: those of row i are ``members[offsets[i] : offsets[i + 1]]``."""

    offsets: Int64s
    members: Int64s


class Weighted(NamedTuple):
    """Activations [R], weights [V, R], each view's mean and variance of the activations [V], and its importance."""

    activations: Float64s
    weights: Float64s
    means: Float64s
    variances: Float64s
    importance: Float64s


def lists_of(flags: Bools) -> Lists:
    """The columns that are set in each row of flags [R, K]."""
    offsets = np.concatenate([[0], np.cumsum(flags.sum(axis=1))]).astype(np.int64)
    return Lists(offsets, np.nonzero(flags)[1].astype(np.int64))


@compiled_loop
def add_up(targets: Lists, conditions: Lists, rows: Weighted, predicted: Int64s, sums: Float64s) -> None:
    """Fill ``sums`` [K, C, L, V, 2]: weight and weighted activation of each claim's rows, by their present level."""
    sums[:] = 0
    n_views = rows.weights.shape[0]
    for i in range(predicted.shape[0]):
        level = predicted[i]
        for a in range(targets.offsets[i], targets.offsets[i + 1]):
            for b in range(conditions.offsets[i], conditions.offsets[i + 1]):
                cell = sums[targets.members[a], conditions.members[b], level]
                for v in range(n_views):
                    cell[v, 0] += rows.weights[v, i]
                    cell[v, 1] += rows.weights[v, i] * rows.activations[i]


@compiled_loop
def state_levels(sums: Float64s, corpus: int, levels: Float64s, most: float, stated: Bools) -> None:
    """Set in ``stated`` [K, C, L] the levels that describe the neuron's activation on the tokens that a claim adds.

    The mean activation there is taken from the view of the corpus if that has the claim, otherwise from the other
    views. Stated are the level nearest to it, except for the lowest, which says nothing, and the next higher level, up
    to ``most`` times the mean.
    """
    for k in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            weight, total = 0.0, 0.0
            for low in range(levels.shape[0]):
                weight += sums[k, c, low, corpus, 0]
                total += sums[k, c, low, corpus, 1]
            if weight <= 0:
                weight, total = 0.0, 0.0
                for v in range(sums.shape[3]):
                    for low in range(levels.shape[0]):
                        weight += sums[k, c, low, v, 0]
                        total += sums[k, c, low, v, 1]
            mean = total / weight if weight > 0 else 0.0
            nearest = 1
            for level in range(2, levels.shape[0]):
                if abs(levels[level] - mean) < abs(levels[nearest] - mean):
                    nearest = level
            for level in range(levels.shape[0]):
                is_near = level in (nearest, nearest + 1)
                stated[k, c, level] = weight > 0 and is_near and levels[level] <= most * mean


@compiled_loop
def values_of(
    sums: Float64s, moments: Float64s, rows: Weighted, levels: Float64s, stated: Bools, found: Float64s
) -> None:
    """Fill ``found`` [K, C, L]: the sentence's value with the claim (target, condition) added at a stated level.

    ``moments`` [V, 3] are those of the present prediction: weighted mean, square and product with the activations. A
    row with a higher expected activation is unchanged. A level that is not ``stated`` [K, C, L] has the value 0.
    """
    n_views = moments.shape[0]
    for k in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            cell = sums[k, c]
            for level in range(levels.shape[0]):
                value = 0.0
                for v in range(n_views if stated[k, c, level] else 0):
                    mean, square, product = moments[v, 0], moments[v, 1], moments[v, 2]
                    for low in range(level):
                        rise = levels[level] - levels[low]
                        mean += rise * cell[low, v, 0]
                        square += (levels[level] ** 2 - levels[low] ** 2) * cell[low, v, 0]
                        product += rise * cell[low, v, 1]
                    variance = square - mean * mean
                    if variance > SMALLEST_VARIANCE and rows.variances[v] > SMALLEST_VARIANCE:
                        covariance = product - rows.means[v] * mean
                        value += rows.importance[v] * covariance / np.sqrt(variance * rows.variances[v])
                found[k, c, level] = value
