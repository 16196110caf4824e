import pytest

from app.domain.means import mean_with_interval


def test_a_mean_has_an_interval_of_its_standard_error() -> None:
    found = mean_with_interval(4, 0.5, 0.2)
    assert found.value == 0.5
    assert found.interval == pytest.approx((0.5 - 1.96 * 0.1, 0.5 + 1.96 * 0.1))


@pytest.mark.parametrize(("n", "deviation"), [(1, None), (1, 0.2), (2, None)])
def test_without_a_spread_there_is_no_interval(n: int, deviation: float | None) -> None:
    assert mean_with_interval(n, 0.5, deviation).interval is None


@pytest.mark.parametrize(("n", "mean"), [(0, None), (0, 0.5), (3, None)])
def test_without_values_there_is_no_mean(n: int, mean: float | None) -> None:
    found = mean_with_interval(n, mean, 0.2)
    assert (found.value, found.undefined_reason) == (None, "there is nothing to average")
