"""What a look at a few excerpts fixes before the pass: where to centre, where bins and pools begin.

A collection reads its text once, so thresholds have to be known beforehand. A small uniform sample of
the corpus gives them. They steer only how finely things are counted and which pools a sample is taken
from; nothing is estimated from the pilot itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from app.errors import CollectionError

HISTOGRAM_BINS = 50
PEAK_BINS = 256
PILOT_SHARE = 128
"""One excerpt in so many is looked at beforehand, within ``PILOT_FEWEST`` and ``PILOT_MOST``."""
PILOT_FEWEST, PILOT_MOST = 256, 1024
HIGH_SHARE, HIGHEST_SHARE = 0.1, 0.01
_DEVIATIONS = 2.5
_SMALLEST_RANGE = 1e-6


class NotFinite(CollectionError):
    """The model gives activations that are not finite numbers."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Per neuron [N]: the centre of power sums, the range of peaks and of values, where pools begin.

    ``high`` lies below the 0.9 quantile of peaks and ``highest`` below the 0.99 quantile, each so far
    below that the pilot's chance does not matter (2.5 standard deviations of its rank).
    """

    centre: Float[Tensor, " n"]
    peak_low: Float[Tensor, " n"]
    peak_scale: Float[Tensor, " n"]
    value_low: Float[Tensor, " n"]
    value_scale: Float[Tensor, " n"]
    high: Float[Tensor, " n"]
    highest: Float[Tensor, " n"]


def pilot_size(n_excerpts: int) -> int:
    """How many excerpts to look at beforehand."""
    return min(n_excerpts, max(PILOT_FEWEST, min(PILOT_MOST, n_excerpts // PILOT_SHARE)))


class Pilot:
    """Gathers what ``Bounds`` needs from the pilot's excerpts on one layer."""

    def __init__(self) -> None:
        self._peaks: list[Tensor] = []
        self._lows: list[Tensor] = []
        self._means: list[Tensor] = []

    def add(self, activations: Float[Tensor, "batch tokens n"]) -> None:
        """Look at some excerpts."""
        self._peaks.append(activations.amax(dim=1).float())
        self._lows.append(activations.amin(dim=1).float())
        self._means.append(activations.float().mean(dim=1))

    def bounds(self) -> Bounds:
        """What these excerpts say; the same however they were batched.

        Raises NotFinite.
        """
        if not all(bool(torch.isfinite(mean).all()) for mean in self._means):
            raise NotFinite
        peaks, _ = torch.cat(self._peaks).sort(dim=0, descending=True)
        low = torch.cat(self._lows).amin(dim=0)
        high = peaks[0]
        spread = wide_enough(high - low, high)
        peak_low = peaks[-1].clone()
        peak_spread = wide_enough((high - peak_low) + (high - peaks[len(peaks) // 2]) / 2, high)
        return Bounds(
            centre=torch.cat(self._means).to(torch.float64).mean(dim=0).float(),
            peak_low=peak_low,
            peak_scale=1 / peak_spread,
            value_low=low.clone(),
            value_scale=HISTOGRAM_BINS / (spread * 1.25),
            high=_threshold(peaks, HIGH_SHARE),
            highest=_threshold(peaks, HIGHEST_SHARE),
        )


def wide_enough(spread: Tensor, around: Tensor) -> Tensor:
    """A range that can be divided by, also for a neuron that never moved."""
    return torch.maximum(spread, (around.abs() * 1e-3).clamp(min=_SMALLEST_RANGE))


def stacked(bounds: Iterable[Bounds]) -> dict[str, Tensor]:
    """The bounds of all layers, field by field, [layers, N]."""
    layers = list(bounds)
    return {name: torch.stack([getattr(b, name) for b in layers]) for name in Bounds.__slots__}


def _threshold(descending: Tensor, share: float) -> Tensor:
    """A peak that more than ``share`` of all excerpts exceed, almost certainly.

    -inf where the pilot is too small to say: the pool then takes in every excerpt.
    """
    n = descending.shape[0]
    rank = ceil(n * share + _DEVIATIONS * sqrt(n * share * (1 - share)) + 1)
    if rank >= n:
        return torch.full_like(descending[0], -torch.inf)
    return descending[rank].clone()
