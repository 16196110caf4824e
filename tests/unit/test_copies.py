"""When two texts are alike, against a definition written with sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.arrays import Int32s
from app.domain.copies import LEAST_SHARED, SHINGLE, alike, shingle_hashes


def shingles(text: Int32s) -> set[tuple[int, ...]]:
    width = min(SHINGLE, len(text))
    return {tuple(text[i : i + width].tolist()) for i in range(len(text) - width + 1)} if width else set()


def alike_by_sets(a: Int32s, b: Int32s, peaks: tuple[int, int]) -> bool:
    left, right = shingles(a), shingles(b)
    if not left or not right:
        return False
    contexts = [
        t[p - 7 : p + 1].tolist() if p >= 7 and len(t) >= 8 else None for t, p in zip((a, b), peaks, strict=True)
    ]
    shared = len(left & right) >= LEAST_SHARED * min(len(left), len(right))
    return shared or (contexts[0] is not None and contexts[0] == contexts[1])


def text(*token_ids: int) -> Int32s:
    return np.array(token_ids, dtype=np.int32)


LICENCE = np.arange(100, 164, dtype=np.int32)


@pytest.mark.parametrize(("shift", "expected"), [(0, True), (1, True), (28, True), (29, False), (64, False)])
def test_a_shifted_window_is_alike_while_half_of_its_shingles_are_the_same(shift: int, expected: bool) -> None:
    long = np.arange(100, 300, dtype=np.int32)
    assert bool(alike([long[:64], long[shift : shift + 64]], [0, 0])[0, 1]) is expected


def test_the_same_eight_tokens_up_to_the_peak_are_alike_whatever_stands_around_them() -> None:
    shared = [7, 8, 9, 10, 11, 12, 13, 14]
    a, b = text(1, 2, *shared, 3, 4), text(*range(50, 60), *shared, 5)
    assert alike([a, b], [9, 17])[0, 1]
    assert not alike([a, b], [9, 16])[0, 1]
    begins_with_them = text(*shared, *range(20, 40))
    assert alike([begins_with_them, b], [7, 17])[0, 1]


def test_fewer_than_eight_tokens_up_to_the_peak_are_no_sign_of_a_copy() -> None:
    a, b = text(1, 2, *range(10, 20)), text(1, 2, *range(30, 40))
    assert not alike([a, b], [1, 1])[0, 1]


def test_a_short_text_is_one_shingle_and_a_prefix_is_another() -> None:
    near = alike([text(1, 2, 3), text(1, 2, 3), text(1, 2), text()], [0, 0, 0, 0])
    assert near.tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, False],
    ]


def test_repeated_shingles_count_once() -> None:
    spaces, other = np.zeros(64, dtype=np.int32), np.arange(64, dtype=np.int32)
    mixed = np.concatenate([np.zeros(20, dtype=np.int32), np.arange(1, 45, dtype=np.int32)])
    near = alike([spaces, other, mixed], [0, 0, 0])
    assert near[0].tolist() == [True, False, True]  # the spaces' only shingle is in the mixed text


token_ids = st.lists(st.integers(0, 2), max_size=24).map(lambda ids: np.array(ids, dtype=np.int32))


@given(st.lists(st.tuples(token_ids, st.integers(0, 23)), max_size=6))
def test_it_is_the_definition_for_any_texts(rows: list[tuple[Int32s, int]]) -> None:
    texts = [t for t, _ in rows]
    peaks = [min(p, max(len(t) - 1, 0)) for t, p in rows]
    near = alike(texts, peaks)
    for i, a in enumerate(texts):
        for j, b in enumerate(texts):
            assert bool(near[i, j]) is alike_by_sets(a, b, (peaks[i], peaks[j]))


def test_hashes_of_many_texts_are_those_of_each() -> None:
    texts = np.random.default_rng(0).integers(0, 50_000, (5, 64), dtype=np.int32)
    np.testing.assert_array_equal(shingle_hashes(texts)[3], shingle_hashes(texts[3]))
    assert len(np.unique(shingle_hashes(texts))) == 5 * 57
