from collections.abc import Callable
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.arrays import Float64s
from app.domain.audit.agreement import (
    ALL_ALIKE,
    NO_PAIR,
    agreement,
    count_table,
    gwet_ac1,
    item_sums,
    krippendorff_alpha,
    raw_agreement,
)
from app.domain.intervals import Statistic

Counts = Float64s
VERDICTS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), min_size=1, max_size=12)

TWELVE_UNITS = ("111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3")
"""A table that books on agreement use: twelve units, four raters, some missing."""


def whole(statistic: Statistic, counts: Counts) -> float:
    return float(statistic(item_sums(counts).sum(axis=0)[None])[0])


@given(VERDICTS)
def test_alpha_is_that_of_the_library(verdicts: list[list[str]]) -> None:
    counts, _ = count_table(verdicts)
    paired = counts[counts.sum(axis=1) >= 2]
    assume(np.count_nonzero(paired.sum(axis=0)) > 1)
    expected = krippendorff.alpha(value_counts=paired.astype(int), level_of_measurement="nominal")
    assert whole(krippendorff_alpha, counts) == pytest.approx(expected, abs=1e-9)


@given(VERDICTS)
def test_raw_agreement_and_ac1_are_those_of_pairs_counted_one_by_one(verdicts: list[list[str]]) -> None:
    counts, categories = count_table(verdicts)
    pairs = [[a == b for a, b in combinations(item, 2)] for item in verdicts if len(item) > 1]
    assume(pairs and len(categories) > 1)
    raw = float(np.mean([np.mean(item) for item in pairs]))
    p = [float(np.mean([item.count(category) / len(item) for item in verdicts])) for category in categories]
    chance = sum(share * (1 - share) for share in p) / (len(categories) - 1)
    assert whole(raw_agreement, counts) == pytest.approx(raw, abs=1e-9)
    assert whole(gwet_ac1, counts) == pytest.approx((raw - chance) / (1 - chance), abs=1e-9)


def test_a_known_table_has_its_known_figures() -> None:
    counts, _ = count_table(TWELVE_UNITS)
    assert whole(gwet_ac1, counts) == pytest.approx(0.77544, abs=5e-6)
    assert whole(krippendorff_alpha, counts) == pytest.approx(0.74342, abs=5e-6)
    assert whole(raw_agreement, counts) == pytest.approx(0.81818, abs=5e-6)


def test_skewed_verdicts_make_alpha_mislead() -> None:
    skewed, _ = count_table(["hh"] * 94 + ["hf"] * 5 + ["ff"])
    found = agreement(skewed, seed=0)
    assert found.raw.value == 0.95
    assert found.alpha.value == pytest.approx(0.262, abs=5e-3)
    assert found.ac1.value == pytest.approx(0.943, abs=5e-3)
    assert found.alpha_misleads
    balanced, _ = count_table(["hh"] * 48 + ["hf"] * 5 + ["ff"] * 47)
    assert not agreement(balanced, seed=0).alpha_misleads


def test_reviewers_who_never_differ_are_not_certain_to_agree() -> None:
    counts, _ = count_table(["hh"] * 12 + ["ff"] * 8)
    found = agreement(counts, seed=0)
    for estimate in (found.raw, found.alpha, found.ac1):
        assert estimate.value == 1
        assert estimate.interval is not None
        assert 0.5 < estimate.interval[0] < 0.9
        assert estimate.interval[1] == 1


def test_without_a_pair_or_with_one_word_alone_there_is_a_reason() -> None:
    without = agreement(count_table(["h", "f"])[0], seed=0)
    assert (without.n_items, without.n_verdicts, without.largest_share) == (0, 0, None)
    assert {figure.undefined_reason for figure in (without.raw, without.alpha, without.ac1)} == {NO_PAIR}
    alike = agreement(count_table(["hh"] * 20)[0], seed=0)
    assert alike.alpha.undefined_reason == ALL_ALIKE
    assert alike.raw.value == 1
    assert alike.alpha_misleads


@given(VERDICTS)
def test_an_interval_holds_its_value_and_equal_seeds_give_equal_ones(verdicts: list[list[str]]) -> None:
    counts, _ = count_table(verdicts)
    found = agreement(counts, seed=1)
    for estimate in (found.raw, found.alpha, found.ac1):
        if estimate.value is not None and estimate.interval is not None:
            assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
    assert found == agreement(counts, seed=1)


def drawn(generator: np.random.Generator, n: int, truth: list[float], right: float, raters: int) -> Counts:
    """Items of three categories, each rater right with a chance, else guessing."""
    real, counts = generator.choice(3, size=n, p=truth), np.zeros((n, 3))
    for _ in range(raters):
        said = np.where(generator.random(n) < right, real, generator.choice(3, size=n, p=[0.4, 0.3, 0.3]))
        counts[np.arange(n), said] += 1
    return counts


@pytest.mark.parametrize(
    ("n", "truth", "right", "raters"),
    [(50, [0.5, 0.3, 0.2], 0.8, 2), (50, [0.9, 0.05, 0.05], 0.9, 3), (200, [0.9, 0.05, 0.05], 0.9, 2)],
)
def test_the_intervals_cover_what_they_say(n: int, truth: list[float], right: float, raters: int) -> None:
    generator = np.random.default_rng(2)
    population = drawn(generator, 300_000, truth, right, raters)
    measures: dict[str, Callable[..., Float64s]] = {
        "raw": raw_agreement,
        "alpha": krippendorff_alpha,
        "ac1": gwet_ac1,
    }
    truths = {name: whole(measure, population) for name, measure in measures.items()}
    covered = dict.fromkeys(measures, 0)
    for seed in range(400):
        found = agreement(drawn(generator, n, truth, right, raters), seed=seed)
        for name, value in truths.items():
            low, high = getattr(found, name).interval
            covered[name] += low <= value <= high
    for name, times in covered.items():
        assert 0.92 <= times / 400 <= 0.985, name
