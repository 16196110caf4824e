import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from app.domain.audit.shares import (
    NO_VERDICT,
    JudgedStratum,
    domain_share,
    population_share,
    silent_strata,
    verdicts_needed,
)
from app.domain.intervals import wilson
from app.domain.scores import Estimate

HUGE = 10**12
"""A population of which no sample takes a noticeable part."""
N_CAMPAIGNS = 1000


def stratified_share(strata: Sequence[JudgedStratum]) -> Estimate:
    share = population_share(strata)
    return Estimate(None, NO_VERDICT) if share is None else share.estimate


def simple(judged: int, holds: int, population: int = HUGE) -> JudgedStratum:
    return JudgedStratum("all", population, judged, judged, holds)


@given(st.integers(1, 500), st.data())
def test_a_simple_sample_has_the_interval_of_two_libraries(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    own = wilson(k / n, n)
    scipys = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert own == pytest.approx((scipys.low, scipys.high), abs=1e-9)
    assert own == pytest.approx(proportion_confint(k, n, alpha=0.05, method="wilson"), abs=1e-9)
    assert stratified_share([simple(n, k)]).interval == pytest.approx(own, abs=1e-9)


def test_a_stratified_share_by_hand() -> None:
    strata = [JudgedStratum("0", 900, 10, 10, 9), JudgedStratum("1", 100, 10, 10, 1)]
    assert stratified_share(strata).value == pytest.approx(0.9 * 0.9 + 0.1 * 0.1)


STRATA = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 30), st.integers(0, 30)).map(
        lambda t: JudgedStratum("s", t[0] + t[1], t[1], t[1], min(t[1], t[2]))
    ),
    min_size=1,
    max_size=6,
)


@given(STRATA)
def test_an_interval_holds_its_share_lies_within_0_to_1_and_turns_around_with_it(strata: list[JudgedStratum]) -> None:
    share, turned = (
        stratified_share(s)
        for s in (
            strata,
            [JudgedStratum(s.name, s.population, s.sampled, s.judged, s.judged - s.holds) for s in strata],
        )
    )
    assert share.value is not None
    assert share.interval is not None
    assert turned.interval is not None
    assert 0 <= share.interval[0] <= share.value + 1e-9
    assert share.value - 1e-9 <= share.interval[1] <= 1
    assert (1 - turned.interval[1], 1 - turned.interval[0]) == pytest.approx(share.interval, abs=1e-9)


def test_a_census_is_certain_and_a_sample_of_which_all_agree_is_not() -> None:
    assert stratified_share([simple(50, 20, population=50)]).interval == (0.4, 0.4)
    low, high = stratified_share([JudgedStratum("0", 500, 3, 3, 3), JudgedStratum("1", 500, 3, 3, 3)]).interval or (
        0,
        0,
    )
    assert low < 0.8
    assert high == 1


def test_before_the_first_verdict_there_is_no_share_but_a_reason() -> None:
    waiting = [JudgedStratum("0", 100, 5, 0, 0)]
    assert population_share(waiting) is None
    assert stratified_share(waiting).undefined_reason == NO_VERDICT
    assert verdicts_needed(waiting, width=0.1) is None


def test_while_a_stratum_is_silent_each_verdict_weighs_what_its_item_stands_for() -> None:
    strata = [JudgedStratum("0", 900, 10, 2, 2), JudgedStratum("1", 100, 5, 2, 0), JudgedStratum("2", 500, 5, 0, 0)]
    assert silent_strata(strata) == 1
    assert stratified_share(strata).value == pytest.approx((90 * 2) / (90 * 2 + 20 * 2))


def coverage(populations: Sequence[int], n: Sequence[int], shares: Sequence[float]) -> float:
    """How often the interval of a sample holds the share of the population that it was drawn from."""
    generator = np.random.default_rng(0)
    sizes, held = np.array(populations), np.round(np.array(populations) * np.array(shares)).astype(int)
    truth, covered = held.sum() / sizes.sum(), 0
    for _ in range(N_CAMPAIGNS):
        drawn = generator.hypergeometric(held, sizes - held, n)
        strata = [JudgedStratum("s", *row) for row in zip(populations, n, n, drawn.tolist(), strict=True)]
        low, high = stratified_share(strata).interval or (1, 0)
        covered += low <= truth <= high
    return covered / N_CAMPAIGNS


@pytest.mark.parametrize(
    ("populations", "n", "shares"),
    [
        ([100_000], [200], [0.3]),
        ([300], [120], [0.3]),
        ([3000] * 12, [8] * 12, np.linspace(0.05, 0.95, 12)),
        ([3000] * 12, [2] * 12, [0.8] * 12),
        ([500] * 60, [1] * 60, np.linspace(0.0, 0.6, 60)),
        ([100, 300, 1000, 3000, 8000], [20] * 5, [0.9, 0.7, 0.4, 0.2, 0.05]),
        ([30, 30, 30], [10, 10, 10], [0.2, 0.5, 0.8]),
        ([3000] * 12, [8] * 12, [0.03] * 12),
        ([100, 300, 1000, 3000, 8000], [2, 3, 8, 24, 63], [0.9, 0.7, 0.4, 0.2, 0.05]),
    ],
    ids=["simple", "of 300", "twelve layers", "two a layer", "one a stratum", "unequal", "of 30", "rare", "by size"],
)
def test_the_interval_covers_what_it_says(populations: list[int], n: list[int], shares: Sequence[float]) -> None:
    assert 0.92 <= coverage(populations, n, shares) <= 0.98  # 95 %, and its simulation's error


@pytest.mark.parametrize("held", [(1, 0), (3, 1), (0, 6)])
def test_a_few_of_a_small_population_are_not_overlooked(held: tuple[int, int]) -> None:
    assert coverage([12, 12], [8, 8], [n / 12 for n in held]) >= 0.93  # more, where so few have only few outcomes


def test_items_judged_in_an_order_by_chance_are_covered_while_strata_are_silent() -> None:
    generator, covered = np.random.default_rng(1), 0
    shares = np.linspace(0.1, 0.9, 20)
    for _ in range(N_CAMPAIGNS):
        judged = np.bincount(generator.choice(np.repeat(np.arange(20), 5), 40, replace=False), minlength=20)
        held = generator.binomial(judged, shares)
        strata = [JudgedStratum("s", 1000, 5, j, h) for j, h in zip(judged.tolist(), held.tolist(), strict=True)]
        low, high = stratified_share(strata).interval or (1, 0)
        covered += low <= 0.5 <= high
    assert 0.93 <= covered / N_CAMPAIGNS <= 0.99  # more than 95 %: some of the strata's likeness is used


@given(st.integers(5, 200), st.floats(0.02, 0.3), st.data())
def test_the_verdicts_that_are_needed_are_enough_and_one_less_is_not(n: int, width: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    more = verdicts_needed([simple(n, k)], width=width)
    assert more is not None

    def reached(judged: int) -> float:
        low, high = wilson(k / n, judged)
        return high - low

    assert reached(n + more) <= width + 1e-6
    assert more == 0 or reached(n + more - 2) > width


def test_a_whole_population_is_always_enough() -> None:
    strata = [JudgedStratum("0", 100, 10, 10, 5), JudgedStratum("1", 50, 5, 5, 1)]
    assert verdicts_needed(strata, width=1e-6) == 135
    assert verdicts_needed(strata, width=1.0) == 0
    with pytest.raises(ValueError, match="above 0"):
        verdicts_needed(strata, width=0)


def test_the_share_of_a_layer_that_cuts_across_strata() -> None:
    strata = [JudgedStratum("rare", 100, 10, 10, 8), JudgedStratum("frequent", 300, 10, 10, 2)]
    share = domain_share(strata, [(5, 5), (5, 1)])
    assert share is not None
    assert share.value == pytest.approx((50 * 1.0 + 150 * 0.2) / 200)
    assert domain_share(strata, [(0, 0), (0, 0)]) is None
    assert domain_share(strata, [(10, 8), (10, 2)]) == population_share(strata)


def test_counts_that_do_not_fit_together_and_shares_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        JudgedStratum("0", 10, 5, 6, 1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson(0.5, 0)
    assert wilson(0.5, math.inf) == (0.5, 0.5)
