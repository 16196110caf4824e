"""From a finished state to the statistics that are stored with a neuron."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from app.domain.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from app.domain.samples import PEAK_QUANTILES
from worker.collection import exact
from worker.collection.bounds import HEADROOM_BITS, HISTOGRAM_BINS, PEAK_BINS, QUANTUM_BITS, Bounds
from worker.collection.state import LEADERS, State
from worker.collection.token_sums import TokenRows

LISTED_TOKENS = 128
"""Tokens that are stored with a neuron: those with the highest mean activation, and those that explain most of its
variance over the corpus, which may be frequent tokens with a moderate mean; half of each."""
LEAST_OCCURRENCES = 4
"""Rarer tokens come after all others: their means describe one excerpt rather than the token."""
_NEURONS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """Statistics of the N neurons of one layer, in the model's own units.

    ``kurtosis`` is the plain fourth standardised moment (3 for a normal distribution). Moments of a
    neuron that never moves are NaN.
    """

    mean: Float64s
    variance: Float64s
    skewness: Float64s
    kurtosis: Float64s
    minimum: Float64s
    maximum: Float64s
    firing_rate: Float64s
    peak_quantiles: Float64s
    histogram_counts: Int64s
    histogram_edges: Float32s


@dataclass(frozen=True, slots=True)
class LayerTokens:
    """The listed tokens of the N neurons of a layer, highest mean first, rare ones last.

    ``token_ids`` int32 [N, M]; ``means`` float32 [N, M], in the model's own units; ``counts`` int64 [N, M], their
    occurrences in the corpus. ``known`` [N]: False for a neuron that moved farther than sums reach (``bounds``).
    """

    token_ids: Int32s
    means: Float32s
    counts: Int64s
    known: Bools


def layer_statistics(state: State, bounds: Bounds, layer: int) -> LayerStatistics:
    """All statistics of one layer. Moments about the mean from moments about the pilot's centre."""
    tensors = state.tensors
    n_tokens = state.excerpts * state.shape.tokens
    first, second, third, fourth = exact.total(tensors["sums"][:, :, layer]).cpu().numpy() / n_tokens
    variance = np.maximum(second - first**2, 0)
    moment3 = third - 3 * first * second + 2 * first**3
    moment4 = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.where(variance > 0, moment3 / variance**1.5, np.nan)
        kurtosis = np.where(variance > 0, moment4 / variance**2, np.nan)
    low, high = _numbers(tensors["minimum"][layer]), _numbers(tensors["maximum"][layer])
    return LayerStatistics(
        mean=_numbers(bounds.centre) + first,
        variance=variance,
        skewness=skewness,
        kurtosis=kurtosis,
        minimum=low,
        maximum=high,
        firing_rate=_numbers(tensors["positive"][layer]) / n_tokens,
        peak_quantiles=peak_quantiles(state, bounds, layer),
        histogram_counts=tensors["histogram"][layer].cpu().numpy().astype(np.int64),
        histogram_edges=_histogram_edges(bounds, low, high),
    )


def peak_quantiles(state: State, bounds: Bounds, layer: int) -> Float64s:
    """The quantiles of per-excerpt peaks, [N, 5], with linear interpolation as NumPy's.

    Exact where a quantile is among the best 20 excerpts, else interpolated within one of 256 bins
    of counts over all excerpts.
    """
    counts = state.tensors["peak_counts"][layer].cpu().numpy()
    best = state.pool(layer, "leaders").ordered().peaks.cpu().numpy().astype(np.float64)
    edges = _peak_edges(bounds, _numbers(state.tensors["maximum"][layer]))
    return np.stack([_quantile(q, counts, edges, best, state.excerpts) for q in PEAK_QUANTILES], axis=1)


def _quantile(q: float, counts: Int32s, edges: Float64s, best: Float64s, n: int) -> Float64s:
    rank = q * (n - 1)
    from_top = (n - 1) - rank
    upper_rank = int(np.floor(from_top))
    if upper_rank + 1 < min(LEADERS, n):
        share = from_top - upper_rank
        return np.asarray(best[:, upper_rank] * (1 - share) + best[:, upper_rank + 1] * share)
    if upper_rank < min(LEADERS, n) and from_top == upper_rank:
        return np.asarray(best[:, upper_rank])
    cumulative = counts.cumsum(axis=1)
    bins = np.minimum((cumulative <= rank).sum(axis=1), counts.shape[1] - 1)
    rows = np.arange(len(bins))
    inside = counts[rows, bins]
    before = cumulative[rows, bins] - inside
    share = np.clip((rank - before + 0.5) / np.maximum(inside, 1), 0, 1)
    low, high = edges[rows, bins], edges[rows, bins + 1]
    return np.asarray(low + share * (high - low))


def _peak_edges(bounds: Bounds, maximum: Float64s) -> Float64s:
    """[N, PEAK_BINS + 1]; the last bin reaches to the highest peak."""
    steps = (np.arange(PEAK_BINS + 1) / PEAK_BINS) ** 2
    edges = _numbers(bounds.peak_low)[:, None] + steps[None, :] / _numbers(bounds.peak_scale)[:, None]
    edges[:, -1] = np.maximum(edges[:, -2], maximum)
    return np.asarray(np.minimum(edges, maximum[:, None]))


def _histogram_edges(bounds: Bounds, minimum: Float64s, maximum: Float64s) -> Float32s:
    """[N, 51]; the end bins reach to the lowest and the highest value that was seen."""
    width = 1 / _numbers(bounds.value_scale)
    edges = _numbers(bounds.value_low)[:, None] + np.arange(HISTOGRAM_BINS + 1)[None, :] * width[:, None]
    edges[:, 0] = np.minimum(edges[:, 0], minimum)
    edges[:, -1] = np.maximum(edges[:, -1], maximum)
    return edges.astype(np.float32)


def layer_tokens(state: State, bounds: Bounds, layer: int, rows: TokenRows) -> LayerTokens:
    """The strongest tokens of one layer's neurons, among those that have a row of sums."""
    sums = state.tensors["token_sums"][layer].cpu().numpy()[: len(rows.token_ids)]
    centre, per_unit = _numbers(bounds.centre), _numbers(bounds.per_unit)
    parts = []
    for first in range(0, sums.shape[1], _NEURONS_AT_ONCE):
        own = slice(first, first + _NEURONS_AT_ONCE)
        means = centre[own] + sums[:, own] / (per_unit[own] * rows.counts[:, None])
        parts.append(listed_tokens(means, rows.counts))
    order = np.concatenate([order for order, _ in parts], axis=1).T
    highest: Float32s = np.concatenate([means for _, means in parts], axis=1).T.astype(np.float32)
    farthest = np.maximum(
        _numbers(state.tensors["maximum"][layer]) - centre, centre - _numbers(state.tensors["minimum"][layer])
    )
    return LayerTokens(
        rows.token_ids[order], highest, rows.counts[order], farthest * per_unit <= 2 ** (QUANTUM_BITS + HEADROOM_BITS)
    )


def listed_tokens(means: Float64s, counts: Int64s) -> tuple[Int64s, Float64s]:
    """The rows [M, N] that are listed of ``means`` [R, N], and their means; rare ones come last.

    ``counts`` [R] are the tokens' occurrences in the corpus, the most frequent first. A token explains the more of a
    neuron's variance, the more often it occurs and the farther its mean lies from the neuron's: by n (m - mean)^2.
    """
    frequent = int((counts >= LEAST_OCCURRENCES).sum())
    explained = counts[:, None] * (means - counts @ means / counts.sum()) ** 2
    explained[frequent:] = means[frequent:] - np.abs(means).max() - 1  # below all others: the rest of the list, if any
    strongest = np.argsort(-means[:frequent], axis=0, kind="stable")[: LISTED_TOKENS // 2]
    np.put_along_axis(explained, strongest, np.inf, axis=0)
    chosen = np.argsort(-explained, axis=0, kind="stable")[:LISTED_TOKENS]
    own = np.take_along_axis(means, chosen, axis=0)
    order = np.lexsort((chosen, -own, chosen >= frequent), axis=0)
    return np.take_along_axis(chosen, order, axis=0), np.take_along_axis(own, order, axis=0)


def _numbers(tensor: Tensor) -> Float64s:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)
