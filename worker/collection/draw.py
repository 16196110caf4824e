"""The samples of neurons, drawn from the pools of a finished pass, each excerpt with its inclusion probability.

The strata of a neuron are its top sample and five bands of peaks (``app.domain.samples``). The edges of bands are those
edges of peak histogram bins that are nearest to the nominal quantiles, so that each band's number of excerpts is known
exactly.

Every excerpt has a uniform number u per neuron. The 20 excerpts with the lowest u are ``random`` (probability 20 / n).
The others are candidates for their band if they are in one of the random pools, whose thresholds are known
(``sampling``): on level l, u is uniform above u20, the highest of ``random``, and that of a candidate is below max(t0,
tw * 2**l). If a band has more candidates than it stores, another hash chooses among them. An excerpt's probability is
that of being in either ``random`` or its band.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from app.domain.activations import finite_halves
from app.domain.arrays import Bools, Float16s, Float32s, Float64s, Int32s, Int64s
from app.domain.samples import BAND_EDGES, BANDS, SampleKind
from worker.collection.best import NEVER, Best, ordinals_of, sortable, unsortable, upper
from worker.collection.bounds import Bounds, peak_bins
from worker.collection.chance import HIGHEST_PRIORITY, hash32, scrambled
from worker.collection.near_copies import Marked, Texts, alike_to_earlier, distinct
from worker.collection.plan import Excerpts
from worker.collection.sampling import Sampling
from worker.collection.state import LEADERS, State

TOP_SIZE = RANDOM_SIZE = 20
BAND_SIZE = 14
"""Excerpts of a band: five each for calibration and validation, four for test."""
_ORDER_OF_EXCERPTS, _ORDER_OF_NEURONS = 7, 8
_ALL = float(HIGHEST_PRIORITY) + 1


@dataclass(frozen=True, slots=True)
class Records:
    """Samples of one kind of N neurons, K slots each, in stored order.

    ``ordinals`` [N, K], -1 for an empty slot; ``peaks`` [N, K]; ``values`` float16 [N, K, T]. ``probabilities`` [N, K]
    are the inclusion probabilities; None if the sample is not a draw.
    """

    kind: SampleKind
    ordinals: Int64s
    peaks: Float32s
    values: Float16s
    probabilities: Float32s | None = None

    @property
    def there(self) -> Bools:
        """Which slots have an excerpt."""
        return self.ordinals >= 0


@dataclass(frozen=True, slots=True)
class LayerDraw:
    """The samples of a layer's neurons: top, random, and the bands. ``band_edges`` float32 [N, 4].

    ``stratum_sizes`` [N, 6]: excerpts of the corpus in the top sample and in each band. ``n_alike`` [N]: how many of
    the 20 excerpts with the highest peaks are near-copies of a higher one.
    """

    samples: tuple[Records, ...]
    band_edges: Float32s
    stratum_sizes: Int64s
    n_alike: Int64s

    def of(self, kind: SampleKind) -> Records:
        """The sample of one kind."""
        return next(records for records in self.samples if records.kind is kind)


def draw_layer(state: State, bounds: Bounds, layer: int, excerpts: Excerpts, sampling: Sampling) -> LayerDraw:
    """The samples of one layer. ``sampling`` is that of the pass."""
    top, n_alike = _top(state, layer, excerpts)
    pools = _Chance.of(state, layer, sampling)
    random = _take(pools.uniform, pools.is_random, RANDOM_SIZE, SampleKind.RANDOM)
    counts = state.tensors["peak_counts"][layer].cpu().numpy().astype(np.int64)
    edges = band_edge_bins(counts, state.excerpts)
    bands = _Bands(counts, edges, bounds)
    samples = [replace(top, probabilities=top.there.astype(np.float32))]
    samples += _chance_samples(pools, random, top, bands, sampling)
    sizes = np.concatenate([top.there.sum(axis=1)[:, None], bands.populations(top)], axis=1)
    return LayerDraw(tuple(samples), edge_peaks(bounds, edges), sizes, n_alike)


def _top(state: State, layer: int, excerpts: Excerpts) -> tuple[Records, Int64s]:
    """The excerpts with the highest peaks, without near-copies, and the number of near-copies in the highest 20."""
    best, leaders = state.pool(layer, "top").ordered(), state.pool(layer, "leaders").ordered()
    ordinals, highest = (ordinals_of(pool.scores).cpu().numpy() for pool in (best, leaders))
    texts = Texts.of(excerpts, np.concatenate([ordinals.ravel(), highest.ravel()]))
    marked = Marked(texts.rows_of(ordinals), best.known_texts.cpu().numpy())
    kept = distinct(texts, marked, TOP_SIZE)
    again = alike_to_earlier(texts, Marked(texts.rows_of(highest), leaders.known_texts.cpu().numpy()))
    return _take(_Pool.of(best), kept, TOP_SIZE, SampleKind.TOP), again[:, :LEADERS].sum(axis=1)


@dataclass(frozen=True, slots=True)
class _Pool:
    """A pool of N neurons in order, best first: ordinals [N, K] (-1 for an empty slot), keys, peaks, values."""

    ordinals: Int64s
    keys: Int64s
    peaks: Float32s
    values: Float16s

    @classmethod
    def of(cls, ordered: Best) -> "_Pool":
        return cls(
            ordinals_of(ordered.scores).cpu().numpy(),
            upper(ordered.scores).cpu().numpy().astype(np.int64),
            ordered.peaks.cpu().numpy(),
            ordered.values.cpu().numpy(),
        )

    def threshold(self, floor: int) -> Float64s:
        """What the inverted keys of drawn excerpts are below, [N]: the k-th lowest key, or the floor of the pool."""
        offered = _ALL if floor == NEVER else float(HIGHEST_PRIORITY - floor)
        full = self.ordinals[:, -1] >= 0
        return np.asarray(np.where(full, (HIGHEST_PRIORITY - self.keys[:, -1]).astype(np.float64), offered))

    def drawn(self, threshold: Float64s) -> Bools:
        """Which slots have a drawn excerpt."""
        return (self.ordinals >= 0) & (HIGHEST_PRIORITY - self.keys < threshold[:, None])

    def joined(self, other: "_Pool") -> "_Pool":
        """Both pools' slots, concatenated."""
        parts = ((getattr(self, name), getattr(other, name)) for name in _Pool.__slots__)
        return _Pool(*(np.concatenate(pair, axis=1) for pair in parts))


@dataclass(frozen=True, slots=True)
class _Chance:
    """The random pools of a layer, with their thresholds [N] in [0, 2**31]."""

    uniform: _Pool
    weighted: _Pool
    t0: Float64s
    tw: Float64s

    @classmethod
    def of(cls, state: State, layer: int, sampling: Sampling) -> "_Chance":
        uniform, weighted = (_Pool.of(state.pool(layer, name).ordered()) for name in ("uniform", "weighted"))
        floors = sampling.chance_floors
        return cls(uniform, weighted, uniform.threshold(floors["uniform"]), weighted.threshold(floors["weighted"]))

    @property
    def is_random(self) -> Bools:
        """The first 20 drawn excerpts of the pool ``uniform``."""
        drawn = self.uniform.drawn(self.t0)
        return drawn & (drawn.cumsum(axis=1) <= RANDOM_SIZE)

    @property
    def u20(self) -> Float64s:
        """The highest u of the random sample, [N]."""
        u = np.where(self.is_random, HIGHEST_PRIORITY - self.uniform.keys, -1)
        return np.asarray(u.max(axis=1) + 1, dtype=np.float64)

    def candidates(self) -> tuple[_Pool, Bools]:
        """Both pools' slots, and which of them have a drawn excerpt, each once, that is not in ``random``."""
        drawn, weighted = self.uniform.drawn(self.t0), self.weighted.drawn(self.tw)
        twice = _among(self.weighted.ordinals, np.where(drawn, self.uniform.ordinals, -1))
        usable = np.concatenate([drawn & ~self.is_random, weighted & ~twice], axis=1)
        return self.uniform.joined(self.weighted), usable

    def probability(self, levels: NDArray[np.uint8]) -> Float64s:
        """The probability that an excerpt on a level is a candidate if it is not in ``random``: levels [N, K]."""
        weighted = np.where(levels > 0, self.tw[:, None] * np.exp2(levels.astype(np.float64)), 0)
        below = np.minimum(np.maximum(self.t0[:, None], weighted), _ALL)
        u20 = self.u20[:, None]
        return np.asarray(np.clip((below - u20) / np.maximum(_ALL - u20, 1), 1 / _ALL, 1))


@dataclass(frozen=True, slots=True)
class _Bands:
    """The bands of a layer's neurons: peak counts [N, bins], and the bins [N, 4] at which bands 1 to 4 begin."""

    counts: Int64s
    edges: Int64s
    bounds: Bounds

    def bins(self, peaks: Float32s) -> Int64s:
        """The bin of each peak [N, K]."""
        low, scale = self.bounds.peak_low.cpu(), self.bounds.peak_scale.cpu()
        return peak_bins(torch.from_numpy(peaks.T.copy()), low, scale).numpy().T

    def of(self, bins: Int64s) -> Int64s:
        """The number of the band of each bin [N, K]."""
        return np.asarray((bins[:, :, None] >= self.edges[:, None, :]).sum(axis=2))

    def levels(self, bins: Int64s) -> NDArray[np.uint8]:
        """The level of each bin [N, K]."""
        levels: NDArray[np.uint8] = self.bounds.levels.cpu().numpy()
        return levels[np.arange(len(bins))[:, None], bins]

    def populations(self, top: Records) -> Int64s:
        """Excerpts per band without those of the top sample, [N, 5]."""
        reached = np.concatenate([np.zeros((len(self.counts), 1), np.int64), self.counts.cumsum(axis=1)], axis=1)
        ends = np.full((len(self.counts), 1), self.counts.shape[1])
        edges = np.concatenate([np.zeros_like(ends), self.edges, ends], axis=1)
        totals = np.diff(np.take_along_axis(reached, edges, axis=1), axis=1)
        bands = np.where(top.there, self.of(self.bins(top.peaks)), -1)
        return np.asarray(totals - np.stack([(bands == b).sum(axis=1) for b in range(len(BANDS))], axis=1))


def _chance_samples(pools: _Chance, random: Records, top: Records, bands: _Bands, sampling: Sampling) -> list[Records]:
    """The random sample and the bands. No excerpt of the top sample is in a band."""
    candidates, usable = pools.candidates()
    usable &= ~_among(candidates.ordinals, top.ordinals)
    bins = bands.bins(candidates.peaks)
    own = np.where(usable, bands.of(bins), -1)
    found = np.stack([(own == b).sum(axis=1) for b in range(len(BANDS))], axis=1)
    stored = BAND_SIZE / np.maximum(found, BAND_SIZE)
    n_random, n = random.there.sum(axis=1), sampling.n_excerpts
    by_random = (n_random / n)[:, None]

    def probability(own_bins: Int64s, own_bands: Int64s) -> Float64s:
        in_band = pools.probability(bands.levels(own_bins)) * np.take_along_axis(
            stored, np.maximum(own_bands, 0), axis=1
        )
        return np.asarray(by_random + (1 - by_random) * in_band)

    of_random = bands.bins(random.peaks)
    in_top = _among(random.ordinals, top.ordinals)
    known = np.where(in_top, 1.0, probability(of_random, bands.of(of_random)))
    samples = [replace(random, probabilities=known.astype(np.float32))]
    every = probability(bins, own)
    order = _order(candidates.ordinals, sampling.seed)
    for number, kind in enumerate(BANDS):
        samples.append(_take(candidates, own == number, BAND_SIZE, kind, order=order, probabilities=every))
    return samples


def _order(ordinals: Int64s, seed: int) -> Int32s:
    """An order of each row's excerpts that is independent of how they were drawn, [N, K]."""
    neurons = hash32(seed, _ORDER_OF_NEURONS, np.arange(len(ordinals), dtype=np.int64))
    excerpts = hash32(seed, _ORDER_OF_EXCERPTS, np.maximum(ordinals, 0).ravel()).view(ordinals.shape)
    order: Int32s = scrambled(excerpts ^ neurons[:, None]).numpy()
    return order


def _among(ordinals: Int64s, others: Int64s) -> Bools:
    """Which excerpts [N, K] are also in ``others`` [N, M] of the same row."""
    return np.asarray((ordinals[:, :, None] == others[:, None, :]).any(axis=2) & (ordinals >= 0))


def _take(
    pool: _Pool,
    wanted: Bools,
    k: int,
    kind: SampleKind,
    *,
    order: Int32s | None = None,
    probabilities: Float64s | None = None,
) -> Records:
    """The first ``k`` wanted slots of each row, in the pool's order or in ``order``."""
    ranked = np.where(wanted, np.arange(wanted.shape[1]) if order is None else order.astype(np.int64), 1 << 40)
    chosen = np.argsort(ranked, axis=1, kind="stable")[:, :k]
    rows = np.arange(len(chosen))[:, None]
    there = wanted[rows, chosen]
    # larger values are stored as the largest float16, with a note; the peak, a float32, stays exact
    values = finite_halves(pool.values[rows, chosen])
    known = None if probabilities is None else np.where(there, probabilities[rows, chosen], 0).astype(np.float32)
    return Records(
        kind, np.where(there, pool.ordinals[rows, chosen], -1), pool.peaks[rows, chosen], values, probabilities=known
    )


def band_edge_bins(counts: Int64s, n_excerpts: int) -> Int64s:
    """The bins [N, 4] at which bands 1 to 4 begin: the edges nearest to the quantiles.

    ``counts`` [N, bins] is the number of all excerpts by the bin of their peak. Of two equally near edges the higher is
    used.
    """
    below = np.concatenate([np.zeros((len(counts), 1), np.int64), counts.cumsum(axis=1)], axis=1)
    edges = []
    for quantile in BAND_EDGES:
        away = np.abs(below - quantile * n_excerpts)
        nearest = away <= away.min(axis=1, keepdims=True)
        reached = np.where(nearest, below, -1).max(axis=1, keepdims=True)
        edges.append(np.argmax(below == reached, axis=1))
    return np.stack(edges, axis=1)


def edge_peaks(bounds: Bounds, edges: Int64s) -> Float32s:
    """The lowest peak that is counted in each bin [N, 4] or a higher one; infinite if no peak is."""
    low, scale = bounds.peak_low.cpu(), bounds.peak_scale.cpu()
    wanted = torch.from_numpy(edges.T.copy())
    limit = sortable(torch.tensor([torch.finfo(torch.float32).max])).to(torch.int64)
    # Bisection over peaks as sortable integers: ``above`` reaches the bin, ``under`` does not.
    under, above = (-limit - 2).expand(wanted.shape).clone(), (limit + 1).expand(wanted.shape).clone()
    while bool((above - under > 1).any()):
        middle = torch.div(under + above, 2, rounding_mode="floor").clamp(-limit - 1, limit)
        reached = peak_bins(unsortable(middle.to(torch.int32)), low, scale) >= wanted
        above, under = torch.where(reached, middle, above), torch.where(reached, under, middle)
    found = unsortable(above.clamp(-limit - 1, limit).to(torch.int32)).numpy().T.copy()
    found[edges == 0] = -np.inf
    found[(above > limit).numpy().T] = np.inf
    return found
