import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.costs import CallPlan, Prices, estimate, estimated_plan
from app.domain.steps.calls import Calls, Span

PRICES = Prices(tokens_in=2.0, tokens_cached=0.5, tokens_out=8.0)


def test_a_call_costs_its_fresh_cached_and_written_tokens() -> None:
    assert PRICES.of(1_000_000, 400_000, 10_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.01 * 8)


def test_more_cached_tokens_than_tokens_cost_no_negative_price() -> None:
    assert PRICES.of(10, 20, 0) == pytest.approx(20 * 0.5 / 1e6)


def test_an_estimate_is_a_plan_times_neurons() -> None:
    plan = CallPlan(calls=11, tokens_in=3000, tokens_cached=1000, tokens_out=100, seconds_per_call=2.0)
    found = estimate(200, plan, PRICES, at_once=8, n_known=5)
    assert (found.calls, found.tokens_in, found.tokens_out, found.n_known) == (2200, 600_000, 20_000, 5)
    assert found.seconds == pytest.approx(2200 * 2 / 8)
    assert found.price == pytest.approx(PRICES.of(600_000, 200_000, 20_000))


def test_what_is_estimated_is_the_mean_over_neurons() -> None:
    runs = [Calls(Span(1, 2, 3), 100, 10, 5), Calls(Span(3, 4, 9), 300, 30, 15)]
    plan = estimated_plan(runs)
    assert (plan.calls, plan.calls_most, plan.tokens_in, plan.tokens_cached, plan.tokens_out) == (3, 6, 200, 20, 10)
    assert estimate(10, plan, PRICES, at_once=1, n_known=0).calls_most == 60


def test_without_records_nothing_is_asked() -> None:
    plan = estimated_plan([])
    assert (plan.calls, plan.tokens_in) == (0, 0)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_price_is_negative_and_free_is_free(tokens_in: int, cached: int, out: int) -> None:
    assert PRICES.of(tokens_in, cached, out) >= 0
    assert Prices().of(tokens_in, cached, out) == 0
    assert Prices().is_free
