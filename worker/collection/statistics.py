"""From a finished state to what is stored with a neuron."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from app.domain.samples import PEAK_QUANTILES, SampleKind
from worker.collection import exact
from worker.collection.best import Best, ordinals_of
from worker.collection.bounds import HISTOGRAM_BINS, PEAK_BINS, Bounds
from worker.collection.state import POOLS, RANDOM, TOP, State

Float64s: TypeAlias = NDArray[np.float64]
BAND_SIZE = 5
QUANTILE_BANDS = ((0.0, 0.5), (0.5, 0.9), (0.9, 0.99), (0.99, 0.999))
_BANDS = (
    (SampleKind.BAND_0, "spread"),
    (SampleKind.BAND_1, "spread"),
    (SampleKind.BAND_2, "high"),
    (SampleKind.BAND_3, "highest"),
)
"""The bands, and the pools that they are drawn from."""
_LARGEST_HALF = np.float16(65504)


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
    histogram_counts: NDArray[np.int64]
    histogram_edges: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Records:
    """Samples of one kind of N neurons, K places each, best first.

    ``ordinals`` [N, K], -1 where there is none; ``peaks`` [N, K]; ``values`` float16 [N, K, T].
    """

    kind: SampleKind
    ordinals: NDArray[np.int64]
    peaks: NDArray[np.float32]
    values: NDArray[np.float16]


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

    Exact where a quantile lies among the best 20 excerpts, else interpolated within one of 256 bins
    of counts over all excerpts.
    """
    counts = state.tensors["peak_counts"][layer].cpu().numpy()
    best = state.pool(layer, "top").ordered().peaks.cpu().numpy().astype(np.float64)
    edges = _peak_edges(bounds, _numbers(state.tensors["maximum"][layer]))
    return np.stack([_quantile(q, counts, edges, best, state.excerpts) for q in PEAK_QUANTILES], axis=1)


def _quantile(q: float, counts: NDArray[np.int32], edges: Float64s, best: Float64s, n: int) -> Float64s:
    place = q * (n - 1)
    from_top = (n - 1) - place
    upper_rank = int(np.floor(from_top))
    if upper_rank + 1 < min(TOP, n):
        share = from_top - upper_rank
        return np.asarray(best[:, upper_rank] * (1 - share) + best[:, upper_rank + 1] * share)
    if upper_rank < min(TOP, n) and from_top == upper_rank:
        return np.asarray(best[:, upper_rank])
    cumulative = counts.cumsum(axis=1)
    bins = np.minimum((cumulative <= place).sum(axis=1), counts.shape[1] - 1)
    rows = np.arange(len(bins))
    inside = counts[rows, bins]
    before = cumulative[rows, bins] - inside
    share = np.clip((place - before + 0.5) / np.maximum(inside, 1), 0, 1)
    low, high = edges[rows, bins], edges[rows, bins + 1]
    return np.asarray(low + share * (high - low))


def _peak_edges(bounds: Bounds, maximum: Float64s) -> Float64s:
    """[N, PEAK_BINS + 1]; the last bin reaches to the highest peak."""
    steps = (np.arange(PEAK_BINS + 1) / PEAK_BINS) ** 2
    edges = _numbers(bounds.peak_low)[:, None] + steps[None, :] / _numbers(bounds.peak_scale)[:, None]
    edges[:, -1] = np.maximum(edges[:, -2], maximum)
    return np.asarray(np.minimum(edges, maximum[:, None]))


def _histogram_edges(bounds: Bounds, minimum: Float64s, maximum: Float64s) -> NDArray[np.float32]:
    """[N, 51]; the end bins reach to the lowest and the highest value that was seen."""
    width = 1 / _numbers(bounds.value_scale)
    edges = _numbers(bounds.value_low)[:, None] + np.arange(HISTOGRAM_BINS + 1)[None, :] * width[:, None]
    edges[:, 0] = np.minimum(edges[:, 0], minimum)
    edges[:, -1] = np.maximum(edges[:, -1], maximum)
    return edges.astype(np.float32)


def layer_records(state: State, layer: int, quantiles: Float64s) -> list[Records]:
    """The samples of one layer: top, random, and the bands between ``quantiles`` [N, 5].

    Bands never repeat an excerpt of the top or the random sample: the lower two are drawn from a second uniform
    sample, the upper two from pools of excerpts with high peaks. Where a quantile lies below its
    pool's bound, the band begins at the bound. A band of which too few were drawn stays short.
    """
    pools = {name: state.pool(layer, name).ordered() for name in POOLS}
    random = _take(SampleKind.RANDOM, pools["random"], _places(pools["random"]) >= 0, RANDOM)
    samples = [_take(SampleKind.TOP, pools["top"], _places(pools["top"]) >= 0, TOP), random]
    for (kind, name), (low, high) in zip(_BANDS, QUANTILE_BANDS, strict=True):
        pool = pools[name]
        begin = np.full(len(quantiles), -np.inf) if low == 0 else quantiles[:, PEAK_QUANTILES.index(low)]
        end = quantiles[:, PEAK_QUANTILES.index(high)]
        peaks, places = pool.peaks.cpu().numpy(), _places(pool)
        inside = (places >= 0) & (peaks >= begin[:, None]) & (peaks < end[:, None])
        for other in samples[:2]:
            inside &= ~(places[:, :, None] == other.ordinals[:, None, :]).any(axis=2)
        samples.append(_take(kind, pool, inside, BAND_SIZE))
    return samples


def _take(kind: SampleKind, pool: Best, wanted: NDArray[np.bool_], k: int) -> Records:
    """The first ``k`` wanted places of each row."""
    order = np.argsort(~wanted, axis=1, kind="stable")[:, :k]
    rows = np.arange(len(order))[:, None]
    ordinals = np.where(wanted[rows, order], _places(pool)[rows, order], -1)
    values = pool.values.cpu().numpy()[rows, order]
    # Beyond float16 the largest float16 stands, and a note says so; the peak beside it is float32 and right.
    return Records(
        kind, ordinals, pool.peaks.cpu().numpy()[rows, order], np.clip(values, -_LARGEST_HALF, _LARGEST_HALF)
    )


def _places(pool: Best) -> NDArray[np.int64]:
    places: NDArray[np.int64] = ordinals_of(pool.scores).cpu().numpy()
    return places


def _numbers(tensor: Tensor) -> Float64s:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)
