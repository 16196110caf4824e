from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split, split_of
from app.domain.splits import HELD_OUT, OPEN
from worker.collection.hard_negatives import LOW_SHARE, SOURCES, driving_tokens, hard_negatives, with_hard_negatives

DRIVER, PLAIN = 7, 1
NAMES = 1000
"""Tokens from here on are in one excerpt each, so that texts differ."""


def record(excerpt_id: int, *pairs: tuple[int, float]) -> ActivationRecord:
    """An excerpt that begins with a unique token, on which the neuron is silent."""
    tokens, activations = zip((NAMES + excerpt_id, -2.0), *pairs, strict=True)
    return ActivationRecord(excerpt_id, np.array(tokens, dtype=np.int32), np.array(activations, dtype=np.float32))


TOP = tuple(record(i, (DRIVER, 10.0), (PLAIN, 0.0)) for i in range(1, 9))


def alike(excerpt_id: int, peak: float = 0.5) -> ActivationRecord:
    return record(excerpt_id, (DRIVER, peak), (PLAIN, -1.0))


def test_tokens_that_drive_are_those_with_a_high_mean_in_train() -> None:
    top = (
        record(1, (DRIVER, 10.0), (PLAIN, 5.0), (2, 2.0)),
        record(2, (3, 10.0)),
        record(3, (3, 10.0)),
        record(4, (3, 10.0)),
        record(5, (DRIVER, 4.0), (PLAIN, 0.0)),
    )
    assert driving_tokens(NeuronRecords({SampleKind.TOP: top}, 10.0)) == {DRIVER: 0.7}


def test_only_alike_excerpts_with_low_activation_are_taken() -> None:
    band = (alike(20), alike(21, peak=3.0), record(22, (PLAIN, 0.0)), alike(23), alike(24), alike(25))
    found = hard_negatives(NeuronRecords({SampleKind.TOP: TOP, SampleKind.BAND_0: band}, 10.0))
    assert [r.excerpt_id for r in found] == [20, 23, 24, 25]


def test_the_most_alike_come_first() -> None:
    top = tuple(record(i, (DRIVER, 10.0), (8, 9.0)) for i in range(1, 5))
    band = (alike(20), record(30, (0, 0.0)), record(31, (0, 0.0)), record(21, (DRIVER, 0.0), (8, 0.0)))
    found = hard_negatives(NeuronRecords({SampleKind.TOP: top, SampleKind.BAND_0: band}, 10.0))
    assert found[0].excerpt_id == 21


def test_a_collections_own_hard_negatives_are_kept_and_missing_ones_derived() -> None:
    bare = NeuronRecords({SampleKind.TOP: TOP, SampleKind.BAND_0: (alike(20), record(22, (PLAIN, 0.0)))}, 10.0)
    derived = with_hard_negatives(bare)
    assert [r.excerpt_id for r in derived.of(SampleKind.HARD_NEGATIVE)] == [20]
    assert with_hard_negatives(derived) is derived
    own = NeuronRecords({**bare.samples, SampleKind.HARD_NEGATIVE: ()}, 10.0)
    assert with_hard_negatives(own).of(SampleKind.HARD_NEGATIVE) == ()


def test_a_neuron_that_never_fires_has_none() -> None:
    assert hard_negatives(NeuronRecords({SampleKind.TOP: (record(1, (DRIVER, -1.0)),)}, 0.0)) == ()
    assert hard_negatives(NeuronRecords({}, 0.0)) == hard_negatives(NeuronRecords({}, 1.0)) == ()


def numbered(excerpt_id: int) -> ActivationRecord:
    """An excerpt whose number determines its content, so that it is the same in every sample; tens share a text."""
    made = record(excerpt_id, (DRIVER if excerpt_id % 2 else PLAIN, (0.0, 1.0, 3.0)[excerpt_id % 3]))
    return replace(made, token_ids=made.token_ids - excerpt_id // 10 if excerpt_id % 10 == 0 else made.token_ids)


ids = st.lists(st.integers(1, 60), max_size=12, unique=True)


@given(st.fixed_dictionaries(dict.fromkeys(SOURCES, ids)), st.integers(0, 12))
def test_no_hard_negative_has_a_split_that_leaks(drawn: dict[SampleKind, list[int]], most: int) -> None:
    records = NeuronRecords({SampleKind.TOP: TOP, **{k: tuple(map(numbered, v)) for k, v in drawn.items()}}, 10.0)
    found = hard_negatives(records, most=most)
    assert len({r.excerpt_id for r in found}) == len(found) <= most
    for rank, negative in enumerate(found):
        homes = {
            (kind, split)
            for kind, sample in records.samples.items()
            for split, r in zip(records.splits[kind], sample, strict=True)
            if r.excerpt_id == negative.excerpt_id
        }
        assert negative.peak < LOW_SHARE * 10.0
        split = split_of(SampleKind.HARD_NEGATIVE, rank)
        if split is Split.TRAIN:
            assert all(kind is not SampleKind.RANDOM and home is Split.CALIBRATION for kind, home in homes)
        else:
            assert {home for _, home in homes} == {split}
    dealt = with_hard_negatives(records)
    held = {r.excerpt_id for kind in SOURCES for s in HELD_OUT for r in dealt.of(kind, s)}
    shown = {r.excerpt_id for s in OPEN for r in dealt.of(SampleKind.HARD_NEGATIVE, s)}
    assert not held & shown


def test_near_copies_among_hard_negatives_are_left_out() -> None:
    body = [(PLAIN + i, 0.0) for i in range(10, 30)]
    copies = tuple(record(20 + i, (DRIVER, 0.5), *body) for i in range(2))
    # Ranks 0 and 3 are calibration, which fills train; the others keep their splits.
    band = (copies[0], alike(30), alike(31), copies[1], alike(32), alike(33), alike(34), alike(35), alike(36))
    found = hard_negatives(NeuronRecords({SampleKind.TOP: TOP, SampleKind.BAND_0: band}, 10.0))
    assert {r.excerpt_id for r in found} & {20, 21} == {20}
