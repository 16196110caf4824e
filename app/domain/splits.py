"""The splits of a neuron's records, decided by their texts: no text that scores an explanation was used to write it.

First, records are assigned by stride: those of the top sample and the hard negatives to train, calibration, validation
and test in turn, those of random samples to calibration, validation and test. The only record of a band is a validation
record, since without it no estimate would cover the band.

Then texts decide. An excerpt that is validation or test in any sample of the neuron is taken out of train and
calibration of all samples, and so is every near-copy of it (see ``copies``). The validation records of random samples
all stay, so that their inclusion probabilities remain valid. Near-copies within the top sample or the hard negatives
share a split. An excerpt of these samples that is a near-copy of one held out in another sample is held out too. If
that leaves no train record, the other records are assigned again, train first.

Source of the strides: "Language models can explain neurons in language models" (2023). The paper has no hard negatives;
they are assigned like the top sample, since a contrastive explainer shows some.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np

from app.domain.arrays import Bools, Int32s
from app.domain.copies import alike
from app.domain.samples import BANDS, SampleKind


class Split(StrEnum):
    """The use of a record. An explainer sees train records only."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    VALIDATION = "validation"
    TEST = "test"


OPEN = (Split.TRAIN, Split.CALIBRATION)
"""The splits that an explainer, a prompt or a calibration may see."""
HELD_OUT = (Split.VALIDATION, Split.TEST)

_SHOWN = (SampleKind.TOP, SampleKind.HARD_NEGATIVE)
_SHOWN_SPLITS = (Split.TRAIN, Split.CALIBRATION, Split.VALIDATION, Split.TEST)
_CHANCE_SPLITS = (Split.CALIBRATION, Split.VALIDATION, Split.TEST)

Splits: TypeAlias = Mapping[SampleKind, tuple[Split | None, ...]]
"""The split of each record of each sample; None for a record that is used in no split."""


class Text(Protocol):
    """The part of a record that this module reads."""

    @property
    def token_ids(self) -> Int32s:
        """[T]."""

    @property
    def peak_index(self) -> int:
        """The index of the token with the highest activation; the first of equals."""


def split_of(kind: SampleKind, rank: int) -> Split:
    """The split of the record at ``rank`` (0-based) of a sample if all texts differ."""
    if kind in _SHOWN:
        return _SHOWN_SPLITS[rank % len(_SHOWN_SPLITS)]
    return _CHANCE_SPLITS[rank % len(_CHANCE_SPLITS)]


def deal(samples: Mapping[SampleKind, Sequence[Text]]) -> Splits:
    """The split of every record of a neuron, by text.

    The records of a sample are in stored order; a record without tokens is in no split.
    """
    kinds = sorted(samples, key=lambda kind: (kind in _SHOWN, list(SampleKind).index(kind)))
    rows = [(kind, rank, text) for kind in kinds for rank, text in enumerate(samples[kind])]
    near = alike([text.token_ids for _, _, text in rows], [text.peak_index for _, _, text in rows])
    for by_stride in (True, False):
        splits = _without_leaks(_dealt(rows, near, by_stride=by_stride), near)
        top = [split for (kind, _, _), split in zip(rows, splits, strict=True) if kind is SampleKind.TOP]
        if Split.TRAIN in top:
            break
    final = iter(splits)
    return {kind: tuple(next(final) for _ in samples[kind]) for kind in kinds}


def _dealt(rows: Sequence[tuple[SampleKind, int, Text]], near: Bools, *, by_stride: bool) -> list[Split | None]:
    """The records' splits before texts that are in several splits are removed from all but one of them."""
    splits: list[Split | None] = []
    kinds = [kind for kind, _, _ in rows]
    turns = dict.fromkeys(_SHOWN, 0)
    for i, (kind, rank, text) in enumerate(rows):
        if not len(text.token_ids):
            splits.append(None)
            continue
        if kind not in _SHOWN:
            is_only = kind in BANDS and kinds.count(kind) == 1
            splits.append(Split.VALIDATION if is_only else split_of(kind, rank))
            continue
        first = i - rank
        split = _same_text(np.flatnonzero(near[i, :i]).tolist(), splits, first)
        if split is None:
            split = split_of(kind, turns[kind]) if by_stride else _rarest(splits[first:])
        turns[kind] += not near[i, first:i].any()
        splits.append(split)
    return splits


def _same_text(earlier: Sequence[int], splits: Sequence[Split | None], first: int) -> Split | None:
    """The split that a top or hard-negative record must share with its near-copies; None if it has none.

    ``earlier`` are the near-copies before it; its sample begins at index ``first``.
    """
    found = [splits[j] for j in earlier]
    for split in HELD_OUT:
        if split in found:
            return split
    return next((splits[j] for j in earlier if j >= first and splits[j] is not None), None)


def _rarest(splits: Sequence[Split | None]) -> Split:
    return min(_SHOWN_SPLITS, key=lambda split: (splits.count(split), _SHOWN_SPLITS.index(split)))


def _without_leaks(splits: Sequence[Split | None], near: Bools) -> list[Split | None]:
    """The splits without records whose text is also in another split: validation keeps all, then test, then train."""
    final = list(splits)

    def drop(split: Split, others: tuple[Split, ...], dealt: Sequence[Split | None]) -> None:
        held = np.array([s in others for s in dealt], dtype=bool)
        is_near = np.logical_or.reduce(near[:, held], axis=1)
        for i, own in enumerate(splits):
            if own is split and is_near[i]:
                final[i] = None

    drop(Split.TEST, (Split.VALIDATION,), splits)
    for split in OPEN:
        drop(split, HELD_OUT, splits)
    drop(Split.CALIBRATION, (Split.TRAIN,), list(final))
    return final
