"""The kinds of samples of a neuron, and the strata that a corpus is divided into for each neuron.

The corpus of a collection is its distinct excerpts: an exact copy of an earlier excerpt is left out when the corpus
is cut. ``STRATA`` is a partition of them by the neuron's peak, so that excerpts drawn from every stratum with known
probabilities represent the whole corpus; see ``estimates``.
"""

from collections.abc import Sequence
from enum import StrEnum

PEAK_QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
"""The quantiles of per-excerpt peaks that are kept with a neuron."""


class SampleKind(StrEnum):
    """The named sets of excerpts of one neuron."""

    TOP = "top"
    """The highest peaks, without near-copies."""
    BAND_0 = "band_0"
    BAND_1 = "band_1"
    BAND_2 = "band_2"
    BAND_3 = "band_3"
    BAND_4 = "band_4"
    RANDOM = "random"
    """Drawn uniformly from the whole corpus."""
    HARD_NEGATIVE = "hard_negative"
    """Excerpts with the tokens that drive the neuron elsewhere, on which it hardly fires."""
    BOTTOM = "bottom"
    """The lowest, most negative activations. From imports."""
    OTHER = "other"
    """Excerpts of an imported file of which it is not known how they were drawn."""


BANDS = (SampleKind.BAND_0, SampleKind.BAND_1, SampleKind.BAND_2, SampleKind.BAND_3, SampleKind.BAND_4)
"""Random excerpts with a peak between two quantiles of peaks, without those of the top sample; lowest first."""
BAND_EDGES = (0.5, 0.9, 0.99, 0.999)
"""The quantiles at which a band ends and the next begins. The actual edges are those of counted bins nearest to
these, so that the number of excerpts in a band is known exactly."""
STRATA = (SampleKind.TOP, *BANDS)
"""Every excerpt of the corpus is in exactly one of these."""


def populations(stratum_sizes: Sequence[int] | None) -> dict[SampleKind, int]:
    """The number of excerpts of the corpus that each sample represents, all of them for ``random``.

    ``stratum_sizes`` are those of ``STRATA``, in order; without them nothing is known.
    """
    if stratum_sizes is None:
        return {}
    return {**dict(zip(STRATA, stratum_sizes, strict=True)), SampleKind.RANDOM: sum(stratum_sizes)}
