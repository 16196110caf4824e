import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.domain.means import mean_of_sums, mean_with_interval


def test_a_mean_has_students_interval() -> None:
    estimate = mean_with_interval(3, 0.2, 0.1)  # t(.975, 2) = 4.30265
    assert estimate.value == 0.2
    assert estimate.interval == pytest.approx((0.2 - 0.248414, 0.2 + 0.248414), abs=1e-6)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert (mean_with_interval(1, 0.2, None).value, mean_with_interval(1, 0.2, None).interval) == (0.2, None)
    assert mean_with_interval(0, None, None).undefined_reason == "there is nothing to average"


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_the_interval_covers_the_mean_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(n).normal(0.3, 0.2, (4000, n))
    intervals = [mean_with_interval(n, float(row.mean()), float(row.std(ddof=1))).interval for row in draws]
    covered = np.mean([found is not None and found[0] <= 0.3 <= found[1] for found in intervals])
    assert 0.935 < covered < 0.965


@given(st.lists(st.floats(-1, 1), max_size=40), st.integers(0, 40))
def test_a_mean_from_sums_is_that_of_the_values_however_they_are_grouped(values: list[float], cut: int) -> None:
    groups = [np.array(part) for part in (values[:cut], values[cut:])]
    sums = [(len(part), float(part.sum()), float((part**2).sum())) for part in groups]
    found = mean_of_sums(*(sum(column) for column in zip(*sums, strict=True)))
    assert found.value == (pytest.approx(np.mean(values), abs=1e-12) if values else None)
    if len(values) < 2:
        assert found.interval is None
    else:
        half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
        assert found.interval == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=1e-6)


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = mean_of_sums(3, 0.3, 0.1**2 * 3)
    assert found.interval == pytest.approx((0.1, 0.1), abs=1e-7)
