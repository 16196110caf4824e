"""Parameters that a pilot over a few excerpts sets before the pass: centres, bin widths, how often bands are drawn.

A collection reads its text once, so these must be known beforehand; they come from a small uniform sample of the
corpus. The pilot decides only how finely values are counted and how often excerpts with certain peaks are drawn. No
statistic is estimated from the pilot itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from app.errors import CollectionError

HISTOGRAM_BINS = 50
PEAK_BINS = 256
PILOT_SHARE = 256
"""The pilot reads one of this many excerpts, but between ``PILOT_FEWEST`` and ``PILOT_MOST``."""
PILOT_FEWEST, PILOT_MOST = 256, 1024
UNIFORM_SHARE = 0.1
"""Peaks reached by more than this share of excerpts are drawn uniformly; rarer ones more often, the rarer they are."""
MOST_LEVELS = 16
QUANTUM_BITS = 16
"""Activations are summed per token in units of 2**-16 of the neuron's range."""
HEADROOM_BITS = 4
"""Activations up to 2**4 times that range can be summed this way."""
TOP_SEEN = 6
"""Number of the pilot's excerpts with a peak of ``top`` or higher.

With this number, the probability that hardly any other excerpt of a long corpus has such a peak is below one in a
million.
"""
_LEAST_SEEN = 3
"""Number of the pilot's excerpts that must reach a peak for its share to be read from the pilot."""
_SMALLEST_RANGE = 1e-6


class NotFinite(CollectionError):
    """The model gives activations that are not finite numbers."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Per neuron [N]: the centre of sums, the range of peaks and of values, how often peaks are drawn, units of sums.

    ``levels`` [N, PEAK_BINS]: an excerpt with a peak in a bin of level l > 0 is drawn 2**l times as often as without
    levels; see ``sampling``. Bins of level 0 have the lower nine tenths. ``per_unit`` is a power of two: token sums add
    up an activation's distance from the centre times ``per_unit``, rounded. ``top`` is a peak that ``TOP_SEEN``
    excerpts of the pilot reach.
    """

    centre: Float[Tensor, " n"]
    peak_low: Float[Tensor, " n"]
    peak_scale: Float[Tensor, " n"]
    value_low: Float[Tensor, " n"]
    value_scale: Float[Tensor, " n"]
    levels: UInt8[Tensor, "n bins"]
    per_unit: Float[Tensor, " n"]
    top: Float[Tensor, " n"]


def pilot_size(n_excerpts: int) -> int:
    """The number of excerpts of the pilot."""
    return min(n_excerpts, max(PILOT_FEWEST, min(PILOT_MOST, n_excerpts // PILOT_SHARE)))


class Pilot:
    """Collects the data for ``Bounds`` from the pilot's excerpts on one layer."""

    def __init__(self) -> None:
        self._peaks: list[Tensor] = []
        self._lows: list[Tensor] = []
        self._means: list[Tensor] = []

    def add(self, activations: Float[Tensor, "batch tokens n"]) -> None:
        """Add some excerpts."""
        self._peaks.append(activations.amax(dim=1).float())
        self._lows.append(activations.amin(dim=1).float())
        self._means.append(activations.float().mean(dim=1))

    def bounds(self) -> Bounds:
        """The bounds from these excerpts, independent of the batching. Raises NotFinite."""
        if not all(bool(torch.isfinite(mean).all()) for mean in self._means):
            raise NotFinite
        peaks, _ = torch.cat(self._peaks).sort(dim=0, descending=True)
        low = torch.cat(self._lows).amin(dim=0)
        high = peaks[0]
        spread = wide_enough(high - low, high)
        peak_low = peaks[-1].clone()
        peak_spread = wide_enough((high - peak_low) + (high - peaks[len(peaks) // 2]) / 2, high)
        centre = torch.cat(self._means).to(torch.float64).mean(dim=0).float()
        peak_scale = 1 / peak_spread
        return Bounds(
            centre=centre,
            peak_low=peak_low,
            peak_scale=peak_scale,
            value_low=low.clone(),
            value_scale=HISTOGRAM_BINS / (spread * 1.25),
            levels=_levels(peaks, peak_low, peak_scale),
            per_unit=_per_unit(torch.maximum(high - centre, centre - low)),
            top=peaks[min(TOP_SEEN, len(peaks)) - 1].clone(),
        )


def peak_bins(
    peaks: Float[Tensor, "rows n"], low: Float[Tensor, " n"], scale: Float[Tensor, " n"]
) -> Int64[Tensor, "rows n"]:
    """The bin in which each peak is counted; bins are finest at the low end, where most peaks are. Monotone.

    Computed as an integer square root, so that every device and the compiled loops give the same bin: float32 square
    roots are rounded differently by different libraries.
    """
    squares = torch.sub(peaks, low).mul_(scale).clamp_(0, 1).mul_(PEAK_BINS**2).to(torch.int64)
    roots = squares.sqrt().to(torch.int64)
    roots -= (roots * roots > squares).to(torch.int64)
    roots += ((roots + 1) ** 2 <= squares).to(torch.int64)
    return roots.clamp_(max=PEAK_BINS - 1)


def _levels(
    descending: Float[Tensor, "pilot n"], low: Float[Tensor, " n"], scale: Float[Tensor, " n"]
) -> UInt8[Tensor, "n bins"]:
    """The level of each bin, by the share of all excerpts that reach it.

    Level l > 0 begins at the peak that the share 0.1 * 2**(1 - l) of all excerpts reaches. If too few excerpts of the
    pilot reach it, the tail is assumed to be exponential, with the mean excess of the pilot's upper tenth.
    """
    n_seen, n = descending.shape
    counts = torch.zeros((n, PEAK_BINS), dtype=torch.float64, device=low.device)
    bins = peak_bins(descending, low, scale).T
    counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float64))
    reach = counts.flip(1).cumsum(1).flip(1)
    last = ((reach >= _LEAST_SEEN).sum(dim=1, keepdim=True) - 1).clamp(min=0)
    tenth = min(n_seen, max(_LEAST_SEEN, ceil(n_seen * UNIFORM_SHARE)))
    excess = (descending[:tenth] - descending[tenth - 1]).to(torch.float64).mean(dim=0)
    edges = (torch.arange(PEAK_BINS, device=low.device, dtype=torch.float64) / PEAK_BINS) ** 2
    beyond = (edges - edges[last]).clamp(min=0) / (scale.to(torch.float64) * excess.clamp(min=1e-30))[:, None]
    known = torch.arange(PEAK_BINS, device=low.device) <= last
    share = torch.where(known, reach, reach.gather(1, last) * torch.exp(-beyond)) / n_seen
    levels = torch.ceil(torch.log2(UNIFORM_SHARE / share.clamp(min=1e-30)))
    return levels.clamp(0, MOST_LEVELS).to(torch.uint8)


def _per_unit(distance: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Units per activation, powers of two; ``distance`` is the largest from the centre that the pilot saw.

    A neuron that hardly varies in the pilot may vary as much elsewhere as the layer's most variable one, so its range
    is at least a sixteenth of that one's.
    """
    lively = (distance.max() / 2**HEADROOM_BITS).clamp(min=_SMALLEST_RANGE)
    _, exponent = torch.frexp(torch.maximum(distance, lively))
    return torch.ldexp(torch.ones_like(distance), QUANTUM_BITS - exponent)


def wide_enough(spread: Tensor, around: Tensor) -> Tensor:
    """A range by which one can divide, even for a neuron that never varied."""
    return torch.maximum(spread, (around.abs() * 1e-3).clamp(min=_SMALLEST_RANGE))


def stacked(bounds: Iterable[Bounds]) -> dict[str, Tensor]:
    """The bounds of all layers, stacked field by field, [layers, N]."""
    layers = list(bounds)
    return {name: torch.stack([getattr(b, name) for b in layers]) for name in Bounds.__slots__}
