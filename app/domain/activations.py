"""Activation records of a neuron, and the one 0..10 normalisation.

Activations are in the model's own units, may be negative, and are never clipped silently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from app.domain.arrays import Float16s, Float32s, Int32s
from app.domain.samples import SampleKind
from app.domain.splits import OPEN, Split, Splits, deal, split_of
from app.domain.token_table import TokenTable

__all__ = [
    "LARGEST_HALF",
    "NORMALISED_LEVELS",
    "NORMALISED_MAXIMUM",
    "ActivationRecord",
    "NeuronRecords",
    "SampleKind",
    "Split",
    "finite_halves",
    "normalise",
    "pack_activations",
    "split_of",
    "unpack_activations",
]

NORMALISED_MAXIMUM = 10
NORMALISED_LEVELS = NORMALISED_MAXIMUM + 1
"""The number of levels 0..10, 0 included."""
LARGEST_HALF = np.float16(65504)
"""The largest finite float16; records are stored as float16."""


@dataclass(frozen=True, slots=True)
class ActivationRecord:
    """One neuron on one excerpt: T tokens and one activation each.

    ``stratum`` is the part of the corpus that the excerpt belongs to for this neuron. ``probability`` is the inclusion
    probability: how likely the collection's draw was to take the excerpt into the record's sample. Both are None if the
    record does not come from such a draw: hard negatives, imports.
    """

    excerpt_id: int
    token_ids: Int32s
    activations: Float32s
    stratum: SampleKind | None = None
    probability: float | None = None

    @property
    def peak(self) -> float:
        """The highest activation in the excerpt."""
        return float(self.activations.max())

    @property
    def peak_index(self) -> int:
        """The index of the token with the highest activation, the first of equals; 0 if there is no token."""
        return int(self.activations.argmax()) if self.activations.size else 0


@dataclass(frozen=True)
class NeuronRecords:
    """All stored records of one neuron, by sample, with the neuron's maximum and mean over the corpus.

    ``populations`` maps each stratum to its number of distinct excerpts in the corpus, and ``random`` to the number of
    all of them; empty if not known. ``given_splits`` replaces the splits that the texts decide.
    """

    samples: Mapping[SampleKind, tuple[ActivationRecord, ...]]
    maximum: float
    mean: float | None = None
    populations: Mapping[SampleKind, int] = field(default_factory=dict)
    given_splits: Splits | None = None
    tokens: TokenTable | None = None
    """The neuron's table of mean activations by token over the whole corpus; None if no collection has counted them."""

    @property
    def level_10(self) -> float:
        """The activation that level 10 corresponds to, in the model's units; 0 for a neuron that never fires.

        It is the maximum over the corpus if that is known and above 0, otherwise the maximum over the records.
        """
        if self.maximum > 0:
            return self.maximum
        peaks = (record.peak for sample in self.samples.values() for record in sample if record.activations.size)
        return max(0.0, max(peaks, default=0.0))

    @cached_property
    def splits(self) -> Splits:
        """The split of each record of each sample; see ``splits``."""
        return deal(self.samples) if self.given_splits is None else self.given_splits

    @cached_property
    def open_tokens(self) -> TokenTable | None:
        """The token table with the held-out records taken out of its sums; None if the neuron has no table."""
        return None if self.tokens is None else self.tokens.without(self.held_out())

    def of(self, kind: SampleKind, split: Split | None = None) -> tuple[ActivationRecord, ...]:
        """The records of one sample, or of one split of it, in stored order."""
        records = self.samples.get(kind, ())
        if split is None or not records:
            return records
        return tuple(r for r, own in zip(records, self.splits[kind], strict=True) if own is split)

    def opened(self) -> "NeuronRecords":
        """Copy with only what an explainer, a prompt or a calibration may see: train and calibration records.

        The held-out records are also taken out of the sums of the token table.
        """
        kept = {kind: [i for i, split in enumerate(self.splits[kind]) if split in OPEN] for kind in self.samples}
        return replace(
            self,
            tokens=self.open_tokens,
            samples={kind: tuple(self.samples[kind][i] for i in indices) for kind, indices in kept.items()},
            given_splits={kind: tuple(self.splits[kind][i] for i in indices) for kind, indices in kept.items()},
        )

    def held_out(self) -> tuple[ActivationRecord, ...]:
        """Records of all samples that are in no open split (train, calibration), each excerpt once."""
        found = {
            record.excerpt_id: record
            for kind, records in self.samples.items()
            for record, split in zip(records, self.splits[kind], strict=True)
            if split not in OPEN and record.token_ids.size
        }
        return tuple(found.values())


def normalise(activations: Float32s, maximum: float) -> Int32s:
    """Activations as whole numbers 0..10: min(10, floor(10 * max(0, a) / maximum)).

    All 0 if ``maximum`` is not positive. Same shape as the input. Source: the 2023 paper.
    """
    if maximum <= 0:
        return np.zeros(activations.shape, dtype=np.int32)
    scaled = np.floor(NORMALISED_MAXIMUM * np.maximum(activations, 0) / maximum)
    return np.minimum(scaled, NORMALISED_MAXIMUM).astype(np.int32)


def finite_halves(activations: Float16s) -> Float16s:
    """Replace infinities by the largest float16: converting a larger number to float16 makes it infinite."""
    return np.clip(activations, -LARGEST_HALF, LARGEST_HALF)


def pack_activations(rows: Sequence[Float32s]) -> bytes:
    """Rows of activations, concatenated as little-endian float16, the format of the table ``sample``."""
    if not rows:
        return b""
    return np.concatenate(rows).astype("<f2").tobytes()


def unpack_activations(data: bytes, lengths: Sequence[int]) -> list[Float32s]:
    """The rows that ``pack_activations`` concatenated, each as long as its excerpt.

    Raises ValueError if the lengths do not add up to the data.
    """
    flat = np.frombuffer(data, dtype="<f2").astype(np.float32)
    if flat.size != sum(lengths):
        raise ValueError(f"{flat.size} activations for {sum(lengths)} tokens")
    return np.split(flat, np.cumsum(lengths)[:-1]) if lengths else []
