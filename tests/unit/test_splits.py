"""No text is in two splits, and scoring records are the drawn ones."""

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.copies import alike
from app.domain.samples import BANDS, SampleKind
from app.domain.splits import HELD_OUT, OPEN, Split, deal, split_of

LENGTH = 16


def record(number: int, excerpt_id: int | None = None, shift: int = 0) -> ActivationRecord:
    """The text with this number, from its token ``shift`` on; other numbers share nothing with it."""
    tokens = np.arange(number * 1000 + shift, number * 1000 + shift + LENGTH, dtype=np.int32)
    activations = np.zeros(LENGTH, dtype=np.float32)
    activations[3] = 1.0
    return ActivationRecord(number if excerpt_id is None else excerpt_id, tokens, activations)


def texts(first: int, n: int) -> tuple[ActivationRecord, ...]:
    return tuple(record(first + i) for i in range(n))


def test_where_all_texts_differ_the_strides_decide() -> None:
    samples = {
        kind: texts(100 * i, 20) for i, kind in enumerate((SampleKind.TOP, SampleKind.RANDOM, SampleKind.HARD_NEGATIVE))
    }
    splits = deal(samples)
    for kind in samples:
        assert splits[kind] == tuple(split_of(kind, rank) for rank in range(20))


def test_what_is_held_out_of_one_sample_is_shown_by_none() -> None:
    top, band = texts(0, 8), texts(100, 5)
    # Rank 1 of a sample drawn by chance is validation, rank 2 test: here a train and a calibration record of the top.
    random = (record(200), record(0, 900, shift=2), record(1, 901))
    splits = deal({SampleKind.TOP: top, SampleKind.BAND_2: band, SampleKind.RANDOM: random})
    assert splits[SampleKind.RANDOM] == (Split.CALIBRATION, Split.VALIDATION, Split.TEST)
    assert splits[SampleKind.TOP] == (
        Split.VALIDATION, Split.TEST, Split.VALIDATION, Split.TEST,
        Split.TRAIN, Split.CALIBRATION, Split.VALIDATION, Split.TEST,
    )  # fmt: skip


def test_the_only_record_of_a_band_is_scored() -> None:
    samples = {SampleKind.TOP: texts(0, 8), SampleKind.BAND_3: texts(100, 1), SampleKind.BAND_2: texts(200, 2)}
    splits = deal(samples)
    assert splits[SampleKind.BAND_3] == (Split.VALIDATION,)
    assert splits[SampleKind.BAND_2] == (Split.CALIBRATION, Split.VALIDATION)
    copied = deal({**samples, SampleKind.BAND_3: texts(0, 1)})  # the text of a train record
    assert copied[SampleKind.BAND_3] == (Split.VALIDATION,)
    assert copied[SampleKind.TOP][0] is Split.VALIDATION


def test_where_every_train_record_is_held_out_elsewhere_the_others_are_dealt_anew() -> None:
    random = (record(200), record(0, 900, shift=2), record(201))
    splits = deal({SampleKind.TOP: texts(0, 4), SampleKind.RANDOM: random})
    assert splits[SampleKind.TOP] == (Split.VALIDATION, Split.TRAIN, Split.CALIBRATION, Split.TEST)


def test_near_copies_in_the_top_sample_share_a_split() -> None:
    top = (record(1), record(1, 50, shift=1), record(2), record(1, 51, shift=2), record(3), record(4))
    splits = deal({SampleKind.TOP: top})[SampleKind.TOP]
    assert splits == (
        Split.TRAIN, Split.TRAIN, Split.CALIBRATION, Split.TRAIN, Split.VALIDATION, Split.TEST,
    )  # fmt: skip


def test_a_single_text_trains_and_scores_nothing() -> None:
    splits = deal({SampleKind.TOP: tuple(record(1, 10 + i, shift=i) for i in range(5))})
    assert set(splits[SampleKind.TOP]) == {Split.TRAIN}


def test_a_calibration_record_that_copies_a_train_record_is_taken_out() -> None:
    splits = deal({SampleKind.TOP: texts(0, 4), SampleKind.RANDOM: (record(0, 900), record(901), record(902))})
    assert splits[SampleKind.TOP][0] is Split.TRAIN
    assert splits[SampleKind.RANDOM] == (None, Split.VALIDATION, Split.TEST)


def test_records_without_tokens_are_in_no_split() -> None:
    empty = ActivationRecord(-1, np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
    assert deal({SampleKind.TOP: (empty, record(1))})[SampleKind.TOP] == (None, Split.TRAIN)
    assert deal({SampleKind.TOP: ()}) == {SampleKind.TOP: ()}
    assert deal({}) == {}


rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), max_size=9)


@given(
    st.fixed_dictionaries(dict.fromkeys((*BANDS, SampleKind.TOP, SampleKind.RANDOM, SampleKind.HARD_NEGATIVE), rows))
)
def test_no_text_stands_in_two_splits(drawn: dict[SampleKind, list[tuple[int, int]]]) -> None:
    samples = {
        kind: tuple(record(number, number * 100 + shift, shift) for number, shift in chosen)
        for kind, chosen in drawn.items()
    }
    dealt = list(_dealt(samples))
    near = alike([r.token_ids for _, _, r in dealt], [r.peak_index for _, _, r in dealt])
    for (i, (_, a, _)), (j, (_, b, _)) in itertools.combinations(enumerate(dealt), 2):
        assert a is b or not near[i, j]
    for kind in (*BANDS, SampleKind.RANDOM):
        kept = [rank for rank, split in enumerate(deal(samples)[kind]) if split is Split.VALIDATION]
        by_stride = [rank for rank in range(len(samples[kind])) if split_of(kind, rank) is Split.VALIDATION]
        assert kept == ([0] if kind in BANDS and len(samples[kind]) == 1 else by_stride)


def _dealt(
    samples: dict[SampleKind, tuple[ActivationRecord, ...]],
) -> Sequence[tuple[SampleKind, Split, ActivationRecord]]:
    splits = deal(samples)
    return [
        (kind, split, r)
        for kind, records in samples.items()
        for split, r in zip(splits[kind], records, strict=True)
        if split is not None
    ]


@given(st.fixed_dictionaries(dict.fromkeys((SampleKind.TOP, SampleKind.RANDOM), rows)))
def test_what_is_opened_keeps_its_splits_and_holds_nothing_else(drawn: dict[SampleKind, list[tuple[int, int]]]) -> None:
    records = NeuronRecords(
        {kind: tuple(record(n, n * 100 + shift, shift) for n, shift in chosen) for kind, chosen in drawn.items()}, 1.0
    )
    opened = records.opened()
    for kind in records.samples:
        for split in OPEN:
            assert ids(opened.of(kind, split)) == ids(records.of(kind, split))
        for split in HELD_OUT:
            assert opened.of(kind, split) == ()
    everything = {r.excerpt_id for kind in records.samples for r in records.of(kind)}
    shown = {i for kind in records.samples for i in ids(opened.of(kind))}
    assert shown | set(ids(records.held_out())) == everything
    validation = {i for kind in records.samples for i in ids(records.of(kind, Split.VALIDATION))}
    assert validation <= set(ids(records.held_out()))
    assert not validation & shown


def ids(records: Sequence[ActivationRecord]) -> list[int]:
    return [r.excerpt_id for r in records]
