import numpy as np
import pytest

from app.domain.means import mean_with_interval


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
