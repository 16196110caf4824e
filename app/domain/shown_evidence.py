"""What a reviewer is shown of a neuron: excerpts from every stratum, drawn by seed.

Top excerpts alone favour texts that are too broad: whatever else a text claims, they all fit it. So the draw holds
excerpts of every band of peaks, hard negatives, and where the explanation was executed its false alarms and misses.
Nothing distinguishes them: they are grouped by what the neuron does on them.
"""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from app.domain.executed import Mistake
from app.domain.samples import SampleKind

SHOWN: Mapping[SampleKind | Mistake, int] = {
    SampleKind.TOP: 5,
    SampleKind.BAND_4: 3,
    SampleKind.BAND_3: 3,
    SampleKind.BAND_2: 3,
    SampleKind.BAND_1: 2,
    SampleKind.BAND_0: 2,
    SampleKind.RANDOM: 2,
    SampleKind.HARD_NEGATIVE: 3,
    Mistake.FALSE_ALARM: 3,
    Mistake.MISS: 3,
    SampleKind.OTHER: 3,
}
"""The most excerpts that are shown of each set."""
STRONG_STEP = 5
"""From this step of the 0..10 scale on, a peak is strong."""


class Firing(StrEnum):
    """How a neuron fires on an excerpt."""

    STRONGLY = "strongly"
    WEAKLY = "weakly"
    HARDLY = "hardly"

    @property
    def label(self) -> str:
        """The heading of such excerpts."""
        return f"Fires {self.value}" if self is not Firing.HARDLY else "Hardly fires"


def firing(step: int) -> Firing:
    """How a neuron fires whose peak is at this step, 0..10, of its scale."""
    if step >= STRONG_STEP:
        return Firing.STRONGLY
    return Firing.WEAKLY if step >= 1 else Firing.HARDLY


def chosen(n_records: Mapping[SampleKind | Mistake, int], *, seed: int) -> dict[SampleKind | Mistake, list[int]]:
    """Indices of the records that are shown of each set, ascending. Equal arguments give equal choices.

    ``n_records`` is how many records each set has. Of the top sample always the highest is among them.
    """
    generator = np.random.default_rng(seed)
    found: dict[SampleKind | Mistake, list[int]] = {}
    for kind, most in SHOWN.items():
        n = n_records.get(kind, 0)
        indices = generator.choice(n, min(most, n), replace=False).tolist()
        if kind is SampleKind.TOP and indices and 0 not in indices:
            indices[0] = 0
        found[kind] = sorted(indices)
    return found


def evidence_seed(campaign_seed: int, item_id: int) -> int:
    """The seed of an item's evidence: everybody who judges the item sees the same excerpts."""
    return campaign_seed * 1_000_003 + item_id
