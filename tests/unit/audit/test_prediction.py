import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.domain.audit.prediction import found_at_false_alarms, prediction

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=30)


def test_by_hand() -> None:
    found = prediction([True, True, True, False, False], [0.9, 0.7, 0.3, 0.4, 0.1])
    assert found.area.value == pytest.approx(5 / 6)
    assert found.best is not None
    assert found.best.value == 0.7
    assert found.best.sensitivity == pytest.approx(2 / 3)
    assert found.best.specificity == 1.0
    assert found.curve == ((0.0, 0.0), (0.0, 2 / 3), (0.5, 2 / 3), (0.5, 1.0), (1.0, 1.0))


@given(ROWS)
def test_the_area_is_that_of_the_rank_sum_and_of_the_curve(rows: list[tuple[bool, int]]) -> None:
    holds, scores = [h for h, _ in rows], [float(s) for _, s in rows]
    found = prediction(holds, scores)
    if found.area.value is None:
        assert found.curve == ()
        assert found.best is None
        return
    ranked = stats.mannwhitneyu([s for h, s in rows if h], [s for h, s in rows if not h], method="asymptotic")
    assert found.area.value == pytest.approx(ranked.statistic / (found.n_holds * found.n_fails), abs=1e-9)
    x, y = np.array(found.curve).T
    assert found.area.value == pytest.approx(float(np.trapezoid(y, x)), abs=1e-9)


@given(ROWS)
def test_the_best_threshold_is_as_good_as_the_best_of_all(rows: list[tuple[bool, int]]) -> None:
    holds, scores = np.array([h for h, _ in rows]), np.array([float(s) for _, s in rows])
    found = prediction(holds.tolist(), scores.tolist())
    if found.area.value is None:
        return
    best = max((scores >= cut)[holds].mean() - (scores >= cut)[~holds].mean() for cut in [*scores, np.inf])
    assert (found.best.youden if found.best else 0.0) == pytest.approx(best)


def test_a_threshold_chosen_on_noise_is_seen_through() -> None:
    generator = np.random.default_rng(0)
    chosen, held_out = [], []
    for _ in range(200):
        found = prediction((generator.random(40) < 0.5).tolist(), generator.random(40).tolist())
        if found.best and found.best.held_out is not None:
            chosen.append(found.best.youden)
            held_out.append(found.best.held_out)
    assert np.mean(chosen) > 0.15
    assert abs(np.mean(held_out)) < 0.05


def test_what_is_found_at_few_false_alarms() -> None:
    wrong = [True] * 4 + [False] * 20
    suspicion = [9.0, 8.0, 5.0, -1.0] + [6.0] + [0.0] * 19
    assert found_at_false_alarms(wrong, suspicion, false_alarms=0.05) == 0.75
    assert found_at_false_alarms(wrong, suspicion, false_alarms=0.0) == 0.5
    assert found_at_false_alarms([True, True], [1.0, 2.0], false_alarms=0.05) is None


@pytest.mark.parametrize(("holds", "missing"), [(False, "that holds"), (True, "that does not hold")])
def test_with_verdicts_of_one_kind_the_reason_speaks_of_explanations(holds: bool, missing: str) -> None:
    found = prediction([holds] * 3, [0.1, 0.2, 0.3])
    assert found.area.value is None
    assert found.area.undefined_reason == f"no explanation {missing} was judged"


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        prediction([True], [])
