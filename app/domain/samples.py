"""The kinds of samples of a neuron, and the strata that a corpus is divided into for each neuron.

The corpus of a collection is its distinct excerpts: an exact copy of an earlier excerpt is left out when the corpus is
cut into excerpts. ``STRATA`` is a partition of the excerpts by the neuron's peak, so that excerpts drawn from every
stratum with known probabilities represent the whole corpus; see ``estimates``.
"""

from collections.abc import Sequence
from enum import StrEnum

PEAK_QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
"""The quantiles of per-excerpt peaks that are stored with a neuron."""


class SampleKind(StrEnum):
    """The named sets of excerpts of one neuron."""

    TOP = "top"
    """The excerpts with the highest peaks, without near-copies."""
    BAND_0 = "band_0"
    BAND_1 = "band_1"
    BAND_2 = "band_2"
    BAND_3 = "band_3"
    BAND_4 = "band_4"
    RANDOM = "random"
    """Excerpts drawn uniformly from the whole corpus."""
    HARD_NEGATIVE = "hard_negative"
    """Excerpts that contain tokens which drive the neuron elsewhere, but on which it hardly fires."""
    BOTTOM = "bottom"
    """The excerpts with the lowest, most negative activations. Only from imports."""
    OTHER = "other"
    """Excerpts of an imported file that does not say how they were drawn."""


BANDS = (SampleKind.BAND_0, SampleKind.BAND_1, SampleKind.BAND_2, SampleKind.BAND_3, SampleKind.BAND_4)
"""Random excerpts with a peak between two quantiles of peaks, excluding the top sample; lowest band first."""
BAND_EDGES = (0.5, 0.9, 0.99, 0.999)
"""The quantiles that separate the bands.

The actual edges are the nearest edges of histogram bins, so that the number of excerpts in a band is known exactly.
"""
STRATA = (SampleKind.TOP, *BANDS)
"""The strata; every excerpt of the corpus is in exactly one."""


def populations(stratum_sizes: Sequence[int] | None) -> dict[SampleKind, int]:
    """The number of excerpts of the corpus that each sample represents; for ``random`` it is all of them.

    ``stratum_sizes`` are the sizes of ``STRATA``, in order; empty if not known, and then the result is empty.
    """
    if stratum_sizes is None:
        return {}
    return {**dict(zip(STRATA, stratum_sizes, strict=True)), SampleKind.RANDOM: sum(stratum_sizes)}
