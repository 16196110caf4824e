"""The excerpts of a neuron that a reviewer is shown: drawn from every stratum, by seed.

Top excerpts alone favour texts that are too broad, since they fit whatever else such a text claims. So the draw
contains excerpts of every band of peaks, hard negatives, and, if the explanation was executed, its false alarms and
misses. The reviewer does not see which set an excerpt is from: they are grouped by how the neuron fires on them.
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
"""The maximum number of excerpts shown from each set."""
STRONG_STEP = 5
"""The step of the 0..10 scale from which a peak counts as strong."""


class Firing(StrEnum):
    """How strongly a neuron fires on an excerpt."""

    STRONGLY = "strongly"
    WEAKLY = "weakly"
    HARDLY = "hardly"

    @property
    def label(self) -> str:
        """The heading above such excerpts."""
        return f"Fires {self.value}" if self is not Firing.HARDLY else "Hardly fires"


def firing(step: int) -> Firing:
    """How strongly a neuron fires, from its peak's step on the 0..10 scale."""
    if step >= STRONG_STEP:
        return Firing.STRONGLY
    return Firing.WEAKLY if step >= 1 else Firing.HARDLY


def chosen(n_records: Mapping[SampleKind | Mistake, int], *, seed: int) -> dict[SampleKind | Mistake, list[int]]:
    """Indices of the records that are shown of each set, ascending. Equal arguments give equal choices.

    ``n_records`` is the number of records in each set. The highest record of the top sample is always chosen.
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
    """The seed of an item's evidence, so that all reviewers of the item see the same excerpts."""
    return campaign_seed * 1_000_003 + item_id
