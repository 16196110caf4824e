"""Activation records, samples, splits, and the one 0..10 normalisation.

Activations are in the model's own units, may be negative, and are never clamped silently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int32]

NORMALISED_MAXIMUM = 10
QUANTILE_BANDS = ((0.0, 0.5), (0.5, 0.9), (0.9, 0.99), (0.99, 0.999))
PEAK_QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
"""The quantiles of per-excerpt peaks that are kept with a neuron."""


class SampleKind(StrEnum):
    """The named sets of excerpts of one neuron."""

    TOP = "top"
    BAND_0 = "band_0"
    BAND_1 = "band_1"
    BAND_2 = "band_2"
    BAND_3 = "band_3"
    RANDOM = "random"
    HARD_NEGATIVE = "hard_negative"
    """Excerpts with the tokens that drive the neuron elsewhere, on which it hardly fires."""


class Split(StrEnum):
    """What a record may be used for. An explainer sees train only."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    VALIDATION = "validation"
    TEST = "test"


_TOP_SPLITS = (Split.TRAIN, Split.CALIBRATION, Split.VALIDATION, Split.TEST)
_OTHER_SPLITS = (Split.CALIBRATION, Split.VALIDATION, Split.TEST)


@dataclass(frozen=True, slots=True)
class ActivationRecord:
    """One neuron on one excerpt: T tokens and one activation each."""

    excerpt_id: int
    token_ids: IntArray
    activations: FloatArray

    @property
    def peak(self) -> float:
        """The highest activation in the excerpt."""
        return float(self.activations.max())


@dataclass(frozen=True, slots=True)
class NeuronRecords:
    """All stored records of one neuron, by sample, with the neuron's maximum and mean over the corpus."""

    samples: Mapping[SampleKind, tuple[ActivationRecord, ...]]
    maximum: float
    mean: float | None = None

    @property
    def level_10(self) -> float:
        """The activation that level 10 stands for: the maximum over the corpus, where known, else over the records.

        In the model's units; 0 for a neuron that never fires.
        """
        if self.maximum > 0:
            return self.maximum
        peaks = (record.peak for sample in self.samples.values() for record in sample if record.activations.size)
        return max(0.0, max(peaks, default=0.0))

    def of(self, kind: SampleKind, split: Split | None = None) -> tuple[ActivationRecord, ...]:
        """The records of one sample, or of one split of it, in stored order."""
        records = self.samples.get(kind, ())
        if split is None:
            return records
        return tuple(r for rank, r in enumerate(records) if split_of(kind, rank) is split)


def split_of(kind: SampleKind, rank: int) -> Split:
    """The split of the record at ``rank`` (0-based) of a sample.

    ``top`` is dealt by rank mod 4, every other sample by rank mod 3 and never to train, as in
    OpenAI's "Language models can explain neurons in language models" (2023). Hard negatives, which
    the paper does not have, are dealt like ``top``, since a contrastive explainer shows some.
    """
    if kind in (SampleKind.TOP, SampleKind.HARD_NEGATIVE):
        return _TOP_SPLITS[rank % 4]
    return _OTHER_SPLITS[rank % 3]


def normalise(activations: FloatArray, maximum: float) -> IntArray:
    """Activations as whole numbers 0..10: min(10, floor(10 * max(0, a) / maximum)).

    All 0 where ``maximum`` is not positive. Same shape as the input. Source: the 2023 paper.
    """
    if maximum <= 0:
        return np.zeros(activations.shape, dtype=np.int32)
    scaled = np.floor(NORMALISED_MAXIMUM * np.maximum(activations, 0) / maximum)
    return np.minimum(scaled, NORMALISED_MAXIMUM).astype(np.int32)


def pack_activations(rows: Sequence[FloatArray]) -> bytes:
    """Rows of activations laid end to end as little-endian float16, as ``sample`` holds them."""
    if not rows:
        return b""
    return np.concatenate(rows).astype("<f2").tobytes()


def unpack_activations(data: bytes, lengths: Sequence[int]) -> list[FloatArray]:
    """The rows that ``pack_activations`` laid end to end, each as long as its excerpt.

    Raises ValueError where the lengths do not add up to the data.
    """
    flat = np.frombuffer(data, dtype="<f2").astype(np.float32)
    if flat.size != sum(lengths):
        raise ValueError(f"{flat.size} activations for {sum(lengths)} tokens")
    return np.split(flat, np.cumsum(lengths)[:-1]) if lengths else []
