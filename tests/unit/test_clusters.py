import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.arrays import Float32s, Int32s
from app.domain.clusters import clusters, cosine_distances, silhouette

TWO = np.array([[1, 0.1], [0.1, 1], [1, 0], [0, 1], [2, 0.1]], dtype=np.float32)


def grouped(points: Float32s) -> Int32s:
    return clusters(points, most=4)


def test_two_directions_are_two_groups_numbered_by_first_appearance() -> None:
    assert grouped(TWO).tolist() == [0, 1, 0, 1, 0]


def test_points_in_one_direction_are_one_group() -> None:
    assert grouped(np.ones((6, 3), dtype=np.float32)).tolist() == [0] * 6


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_too_few_points_are_one_group(n: int) -> None:
    assert grouped(np.eye(max(n, 1), dtype=np.float32)[:n]).tolist() == [0] * n


def test_a_lone_point_is_no_group_of_its_own() -> None:
    assert grouped(np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)).tolist() == [0] * 4


def test_silhouette_by_hand() -> None:
    distances = np.array([[0, 1, 4], [1, 0, 3], [4, 3, 0]], dtype=np.float64)
    labels = np.array([0, 0, 1], dtype=np.int32)
    # (4 - 1) / 4, (3 - 1) / 3 and 0 for the lone third point
    assert silhouette(distances, labels) == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)


def test_cosine_distances_by_hand() -> None:
    points = np.array([[1, 0], [0, 2], [-3, 0], [0, 0]], dtype=np.float32)
    expected = [[0, 1, 2, 1], [1, 0, 1, 1], [2, 1, 0, 1], [1, 1, 1, 0]]
    assert cosine_distances(points).tolist() == expected


@pytest.mark.parametrize("most", [2, 3, 4, 6])
def test_there_are_as_many_groups_as_there_are_directions_up_to_the_bound(most: int) -> None:
    points = np.repeat(np.eye(6, dtype=np.float32), 3, axis=0)[:12]
    assert len(set(clusters(points, most=most).tolist())) == min(4, most)


@given(st.permutations(range(len(TWO))), st.floats(0.1, 100))
def test_order_and_scale_of_the_points_do_not_matter(order: list[int], scale: float) -> None:
    labels = grouped((TWO * scale)[order].astype(np.float32))
    together = {(i, j) for a, i in enumerate(order) for b, j in enumerate(order) if labels[a] == labels[b]}
    assert together == {(i, j) for i in range(5) for j in range(5) if (i in (1, 3)) == (j in (1, 3))}


@given(st.integers(0, 2**32 - 1), st.integers(4, 12))
def test_every_group_has_two_points_or_more(seed: int, n: int) -> None:
    labels = grouped(np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32))
    assert np.bincount(labels).min() >= 2
    assert labels[0] == 0
