import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import SampleKind, Split, normalise, pack_activations, split_of, unpack_activations


def test_the_largest_activation_is_ten_and_negatives_are_zero() -> None:
    assert normalise(np.array([-1.0, 0.0, 0.39, 0.4, 3.9, 4.0], dtype=np.float32), 4.0).tolist() == [0, 0, 0, 1, 9, 10]


def test_a_neuron_that_never_fires_is_zero_everywhere() -> None:
    assert normalise(np.array([-1.0, 2.0], dtype=np.float32), 0.0).tolist() == [0, 0]


def test_top_is_dealt_by_four_and_random_by_three_without_train() -> None:
    assert [split_of(SampleKind.TOP, rank) for rank in range(5)] == [
        Split.TRAIN,
        Split.CALIBRATION,
        Split.VALIDATION,
        Split.TEST,
        Split.TRAIN,
    ]
    assert Split.TRAIN not in {split_of(SampleKind.RANDOM, rank) for rank in range(20)}


def test_hard_negatives_are_dealt_like_top_so_that_an_explainer_may_see_some() -> None:
    assert [split_of(SampleKind.HARD_NEGATIVE, rank) for rank in range(20)] == [
        split_of(SampleKind.TOP, rank) for rank in range(20)
    ]


@given(st.lists(st.lists(st.floats(-60000, 60000, width=16), min_size=1, max_size=5), max_size=4))
def test_packed_rows_come_back_as_they_were(rows: list[list[float]]) -> None:
    arrays = [np.array(row, dtype=np.float32) for row in rows]
    unpacked = unpack_activations(pack_activations(arrays), [len(row) for row in rows])
    assert [row.tolist() for row in unpacked] == rows


def test_lengths_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="2 activations for 3 tokens"):
        unpack_activations(pack_activations([np.array([1.0, 2.0], dtype=np.float32)]), [3])
