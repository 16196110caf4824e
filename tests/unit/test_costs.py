import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.costs import CallPlan, Prices, estimate, guessed_plan, method_steps

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


@pytest.mark.parametrize(("simulator", "calls"), [("all_at_once", 11), ("structured", 11), ("token_by_token", 641)])
def test_a_guess_counts_one_explanation_and_the_simulators_calls(simulator: str, calls: int) -> None:
    assert guessed_plan(simulator, n_excerpts=10, length=64).calls == calls


@pytest.mark.parametrize(
    ("explainer", "calls"),
    [
        ("highlighted", 1 + 30),
        ("best_of_n", 4 + 4 * 30 + 4 * 10),
        ("revise", 3 + 2 * 30 + 2 * 10),
        ("per_meaning", 4 + 30 + 2 * 10),
    ],
)
def test_a_guess_counts_every_text_that_a_method_writes_compares_and_scores(explainer: str, calls: int) -> None:
    steps = method_steps(explainer, ["correlation"], {}, shuffled=True)
    assert guessed_plan("structured", n_excerpts=30, length=64, steps=steps).calls == calls


def test_a_guess_counts_what_judges_are_asked_about_each_text_and_another_neuron() -> None:
    def calls(*scorers: str, shuffled: bool = True) -> float:
        steps = method_steps("best_of_n", scorers, {"explainer": {"n": 2}}, shuffled=shuffled)
        return guessed_plan("structured", n_excerpts=30, length=64, steps=steps).calls

    assert calls("correlation", "detection", "fuzzing") - calls("correlation") == 2 * 2 * (3 + 2)
    assert calls("detection", shuffled=False) - calls(shuffled=False) == 2 * 3


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_price_is_negative_and_free_is_free(tokens_in: int, cached: int, out: int) -> None:
    assert PRICES.of(tokens_in, cached, out) >= 0
    assert Prices().of(tokens_in, cached, out) == 0
    assert Prices().is_free
