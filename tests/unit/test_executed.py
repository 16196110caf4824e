"""The numbers of an executed explanation, against sums by hand and against whole arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import NORMALISED_LEVELS
from app.domain.executed import (
    FIRING_LEVEL,
    LevelCounts,
    NeuronTotals,
    execution,
    firing_threshold,
)


def counted(real: np.ndarray, expected: np.ndarray) -> tuple[NeuronTotals, LevelCounts]:
    """The totals and counts of whole arrays, as a pass over them finds them."""
    firing = real >= firing_threshold(float(real.max()))
    above = expected > 0
    counts = LevelCounts(
        np.bincount(expected[above], minlength=NORMALISED_LEVELS),
        np.bincount(expected[above & firing], minlength=NORMALISED_LEVELS),
        np.asarray(np.bincount(expected[above], real[above], minlength=NORMALISED_LEVELS), dtype=np.float64),
    )
    return NeuronTotals(len(real), float(real.mean()), float(real.var()), int(firing.sum())), counts


def test_ten_tokens_by_hand() -> None:
    # The neuron fires on four tokens; the text claims four, three of them rightly, one weaker than the others.
    real = np.array([10, 8, 0, 0, 0, 0, 0, 3, 9, 0], dtype=float)
    expected = np.array([9, 9, 9, 1, 0, 0, 0, 5, 0, 0])
    found = execution(*counted(real, expected))
    assert (found.n_claimed, found.n_firing, found.n_right) == (4, 4, 3)
    assert (found.n_false_alarms, found.n_misses) == (1, 1)
    assert found.precision.value == found.recall.value == found.f1.value == 0.75
    # Levels 9, 5, 1 and 0: precision 2/3 at recall 2/4, 3/4 at 3/4, 3/5 at 3/4, 4/10 at 4/4.
    assert found.average_precision.value == pytest.approx(2 / 3 * 2 / 4 + 3 / 4 * 1 / 4 + 4 / 10 * 1 / 4)
    assert found.correlation.value == pytest.approx(np.corrcoef(real, expected)[0, 1])


@given(st.lists(st.tuples(st.floats(-5, 50, width=16), st.integers(0, 10)), min_size=3, max_size=60))
def test_correlation_is_that_of_the_whole_arrays(rows: list[tuple[float, int]]) -> None:
    real, expected = np.array([r for r, _ in rows], dtype=np.float64), np.array([e for _, e in rows])
    found = execution(*counted(real, expected))
    if real.std() > 1e-3 and expected.std() > 0:
        r = found.correlation.value
        assert r is not None
        assert r == pytest.approx(np.corrcoef(real, expected)[0, 1], abs=1e-6)
        assert -1 <= r <= 1
    elif expected.std() == 0:
        assert found.correlation.undefined_reason == "it expects the same on every token"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=40))
def test_average_precision_is_the_area_step_by_step(rows: list[tuple[bool, int]]) -> None:
    fires, expected = np.array([f for f, _ in rows]), np.array([e for _, e in rows])
    found = execution(*counted(fires.astype(float), expected))
    if not fires.any():
        assert found.average_precision.undefined_reason == "the neuron fires on no token of the corpus"
        return
    area, recall = 0.0, 0.0
    for threshold in sorted(set(expected.tolist()), reverse=True):
        taken = expected >= threshold
        precision, reached = fires[taken].mean(), fires[taken].sum() / fires.sum()
        area, recall = area + precision * (reached - recall), reached
    assert found.average_precision.value == pytest.approx(area)


def test_a_text_that_states_every_activation_right_has_no_false_alarm_and_no_miss() -> None:
    levels = np.arange(NORMALISED_LEVELS)
    found = execution(*counted(levels.astype(float), levels))
    assert (found.n_false_alarms, found.n_misses) == (0, 0)
    assert found.average_precision.value == found.f1.value == 1.0


def test_what_is_not_defined_says_why() -> None:
    real = np.array([0.0, 4.0, 1.0])
    weak = execution(*counted(real, np.array([FIRING_LEVEL - 1, 0, 0])))
    assert weak.precision.undefined_reason == "it claims no token of the corpus"
    assert (weak.recall.value, weak.f1.value) == (0.0, 0.0)
    never = execution(*counted(np.array([-1.0, -2.0]), np.array([5, 0])))
    assert {never.recall.undefined_reason, never.f1.undefined_reason, never.average_precision.undefined_reason} == {
        "the neuron fires on no token of the corpus"
    }
    still = execution(*counted(np.array([2.0, 2.0]), np.array([5, 0])))
    assert still.correlation.undefined_reason == "the real activations are the same on every token"
