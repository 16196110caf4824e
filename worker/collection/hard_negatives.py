"""Hard negatives: excerpts with tokens that drive a neuron elsewhere, but on which it hardly fires.

Here they are derived from a neuron's other samples, for imported neurons whose collection has none.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, Split, split_of
from app.domain.copies import alike
from app.domain.samples import BANDS, SampleKind

MOST = 20
LOW_SHARE = 0.3
"""Share of the neuron's maximum: the neuron hardly fires on an excerpt whose peak is below it."""
DRIVING_SHARE = 0.3
"""Share of the neuron's maximum: a token whose mean activation in train records is above it drives the neuron."""
MOST_DRIVING = 8
"""Number of driving tokens used: the strongest."""

SOURCES = (*BANDS, SampleKind.RANDOM)


def with_hard_negatives(records: NeuronRecords) -> NeuronRecords:
    """The records with a ``hard_negative`` sample: their own, or one derived from the other samples."""
    if SampleKind.HARD_NEGATIVE in records.samples:
        return records
    found = hard_negatives(records)
    given = records.given_splits
    if given is not None:
        ranks = tuple(split_of(SampleKind.HARD_NEGATIVE, rank) for rank in range(len(found)))
        given = {**given, SampleKind.HARD_NEGATIVE: ranks}
    return replace(records, samples={**records.samples, SampleKind.HARD_NEGATIVE: found}, given_splits=given)


def hard_negatives(records: NeuronRecords, *, most: int = MOST) -> tuple[ActivationRecord, ...]:
    """The records for the sample ``hard_negative``, in the order in which they are to be stored.

    These are excerpts of the bands and of ``random`` with driving tokens and a peak below ``LOW_SHARE`` of the maximum:
    the most similar first within each split, without near-copies. They are placed at ranks that give them the split of
    their own sample, so that no scored text is shown to an explainer or decides between texts. Train, which those
    samples do not have, is filled from the calibration split of the bands. The sample ends when a split has no further
    excerpt.
    """
    weights = driving_tokens(records)
    if not weights:
        return ()
    likeness = {
        record.excerpt_id: sum(weights.get(token, 0.0) for token in set(record.token_ids.tolist()))
        for kind in SOURCES
        for record in records.of(kind)
        if record.token_ids.size and record.peak < LOW_SHARE * records.level_10
    }
    pools = _pools(records, {i for i, value in likeness.items() if value > 0})
    for split, pool in pools.items():
        pools[split] = _distinct(sorted(pool, key=lambda record: (-likeness[record.excerpt_id], record.excerpt_id)))
    return tuple(_dealt(pools, most))


def driving_tokens(records: NeuronRecords) -> dict[int, float]:
    """The tokens with the highest mean activation, with this mean (0..1 of the neuron's maximum), strongest first.

    At most ``MOST_DRIVING``, all at ``DRIVING_SHARE`` or above. Uses the top sample's train split only. Empty for a
    neuron that never fires.
    """
    if records.level_10 <= 0:
        return {}
    seen: dict[int, list[float]] = defaultdict(list)
    for record in records.of(SampleKind.TOP, Split.TRAIN):
        for token, activation in zip(record.token_ids.tolist(), record.activations.tolist(), strict=True):
            seen[token].append(activation / records.level_10)
    means = {token: float(np.mean(values)) for token, values in seen.items()}
    strongest = sorted(means.items(), key=lambda item: (-item[1], item[0]))[:MOST_DRIVING]
    return {token: mean for token, mean in strongest if mean >= DRIVING_SHARE}


def _pools(records: NeuronRecords, wanted: set[int]) -> dict[Split, list[ActivationRecord]]:
    """The excerpts that each split may get: those with the same split in every sample that has them."""
    homes: dict[int, set[tuple[SampleKind, Split | None]]] = defaultdict(set)
    by_id: dict[int, ActivationRecord] = {}
    for kind in (SampleKind.TOP, *SOURCES):
        for record, split in zip(records.of(kind), records.splits.get(kind, ()), strict=True):
            homes[record.excerpt_id].add((kind, split))
            by_id[record.excerpt_id] = record
    pools: dict[Split, list[ActivationRecord]] = {split: [] for split in Split}
    for excerpt_id in sorted(wanted):
        kinds, splits = {kind for kind, _ in homes[excerpt_id]}, {split for _, split in homes[excerpt_id]}
        if len(splits) > 1 or SampleKind.TOP in kinds:
            continue
        (split,) = splits
        if split is not None:
            unused = split is Split.CALIBRATION and SampleKind.RANDOM not in kinds
            pools[Split.TRAIN if unused else split].append(by_id[excerpt_id])
    return pools


def _distinct(records: Sequence[ActivationRecord]) -> list[ActivationRecord]:
    """The records without near-copies of earlier ones."""
    near = alike([r.token_ids for r in records], [r.peak_index for r in records])
    kept: list[int] = []
    for i in range(len(records)):
        if not near[i, kept].any():
            kept.append(i)
    return [records[i] for i in kept]


def _dealt(pools: Mapping[Split, list[ActivationRecord]], most: int) -> Iterable[ActivationRecord]:
    left = {split: list(pool) for split, pool in pools.items()}
    for rank in range(most):
        split = split_of(SampleKind.HARD_NEGATIVE, rank)
        source = split if left[split] else Split.TRAIN
        if split not in (Split.TRAIN, Split.CALIBRATION) and not left[split]:
            return
        if not left[source]:
            return
        yield left[source].pop(0)
