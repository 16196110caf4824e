import numpy as np
import pytest

from app.domain.arrays import Float32s
from app.domain.cofiring import cofiring, cofiring_words


def row(*values: float) -> Float32s:
    return np.array(values, dtype=np.float32)


def test_only_excerpts_of_both_are_compared() -> None:
    own = {1: row(0, 1, 2), 2: row(9, 9)}
    assert cofiring(own, {1: row(0, 2, 4), 3: row(1, 0)}) == pytest.approx(1.0)
    assert cofiring(own, {1: row(2, 1, 0)}) == pytest.approx(-1.0)


@pytest.mark.parametrize("other", [{}, {2: row(1, 2)}, {1: row(1, 1, 1)}])
def test_what_cannot_be_compared_has_no_correlation(other: dict[int, Float32s]) -> None:
    assert cofiring({1: row(0, 1, 2)}, other) is None


@pytest.mark.parametrize(
    ("correlation", "words"),
    [(1.0, "mostly the same tokens"), (0.6, "mostly the same tokens"), (0.59, "partly the same tokens"),
     (0.2, "different tokens"), (-1.0, "different tokens")],
)  # fmt: skip
def test_a_correlation_is_said_in_words(correlation: float, words: str) -> None:
    assert cofiring_words(correlation) == words
