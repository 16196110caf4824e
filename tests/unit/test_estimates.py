"""Estimates for a corpus from drawn excerpts, against the corpus itself."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.arrays import Float32s, Float64s
from app.domain.estimates import (
    DrawnExcerpt,
    Weights,
    correlation_sums,
    detection_sums,
    drawn_excerpts,
    explained_variance_of,
    explained_variance_sums,
    jackknife_weights,
    weigh,
)
from app.domain.fit import explained_variance
from app.domain.samples import SampleKind
from app.domain.scores import Estimate, correlation, pearson

TOP, LOW, HIGH, RANDOM = SampleKind.TOP, SampleKind.BAND_0, SampleKind.BAND_2, SampleKind.RANDOM
TOKENS = 6
Rows = list[Float32s]


def population(n: int = 300, seed: int = 0) -> tuple[Rows, Rows]:
    """Real activations of which few excerpts are high, and predictions that know half of it."""
    generator = np.random.default_rng(seed)
    scale = generator.gamma(0.3, 3.0, n)
    real = [(generator.random(TOKENS) * s).astype(np.float32) for s in scale]
    predicted = [(0.5 * r + generator.random(TOKENS)).astype(np.float32) for r in real]
    return real, predicted


def strata_of(real: Rows, n_top: int = 20) -> tuple[list[SampleKind], dict[SampleKind, int]]:
    """The top excerpts by peak, then the upper tenth, then the rest."""
    order = np.argsort([-float(r.max()) for r in real], kind="stable")
    kinds = [LOW] * len(real)
    for rank, place in enumerate(order):
        kinds[place] = TOP if rank < n_top else HIGH if rank < n_top + len(real) // 10 else LOW
    return kinds, {kind: kinds.count(kind) for kind in (TOP, HIGH, LOW)}


def weighted_correlation(real: Rows, predicted: Rows, weights: Float64s) -> float:
    return float(pearson((weights @ correlation_sums(real, predicted))[None])[0])


def weighted_explained_variance(real: Rows, predicted: Rows, weights: Float64s) -> float:
    return float(explained_variance_of((weights @ explained_variance_sums(real, predicted))[None])[0])


def jackknife_variance(weights: Weights, sums: Float64s) -> float:
    """The variance of a correlation, as replicates tell it."""
    replicates, factors = jackknife_weights(weights)
    value = pearson((weights.values @ sums)[None])[0]
    return float((factors * (pearson(replicates @ sums) - value) ** 2).sum())


def pick(rows: Sequence[Float32s], places: Sequence[int]) -> Rows:
    return [rows[i] for i in places]


values = st.lists(st.floats(-5, 5, width=16), min_size=3, max_size=3)


@given(st.lists(st.tuples(values, values, st.sampled_from([TOP, LOW, HIGH])), min_size=2, max_size=12))
def test_on_a_census_they_are_the_plain_statistics(rows: list[tuple[list[float], list[float], SampleKind]]) -> None:
    real = [np.array(r, dtype=np.float32) for r, _, _ in rows]
    predicted = [np.array(p, dtype=np.float32) for _, p, _ in rows]
    kinds = [kind for _, _, kind in rows]
    drawn = [DrawnExcerpt(i, kind, 1.0) for i, kind in enumerate(kinds)]
    weights = weigh(drawn, {kind: kinds.count(kind) for kind in set(kinds)})
    assert weights.values.tolist() == [1.0] * len(rows)
    plain, weighted = correlation(real, predicted), weighted_correlation(real, predicted, weights.values)
    assert (plain.value is None) == np.isnan(weighted)
    assert plain.value is None or weighted == pytest.approx(plain.value, abs=1e-9)
    plain = explained_variance(real, predicted, [0] * len(real), seed=0)
    weighted = weighted_explained_variance(real, predicted, weights.values)
    if plain.value is not None and not np.isnan(weighted):
        assert weighted == pytest.approx(plain.value, rel=1e-5, abs=1e-5)
    replicates, _ = jackknife_weights(weights)
    assert len(replicates) == 0  # a census has no sampling error


def defined(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value


def draw(kinds: Sequence[SampleKind], sizes: dict[SampleKind, int], generator: np.random.Generator) -> list[int]:
    """Some indices of each stratum, without replacement."""
    chosen: list[int] = []
    for kind, n in sizes.items():
        own = [i for i, k in enumerate(kinds) if k is kind]
        chosen += generator.choice(own, n, replace=False).tolist()
    return chosen


def weights_of(chosen: Sequence[int], kinds: Sequence[SampleKind], counts: dict[SampleKind, int]) -> Weights:
    sizes = {kind: sum(kinds[i] is kind for i in chosen) for kind in counts}
    return weigh([DrawnExcerpt(i, kinds[i], sizes[kinds[i]] / counts[kinds[i]]) for i in chosen], counts)


SIZES = {TOP: 10, HIGH: 15, LOW: 40}


def test_over_repeated_draws_sums_are_unbiased_and_the_correlation_nearly() -> None:
    real, predicted = population()
    kinds, counts = strata_of(real)
    sums = correlation_sums(real, predicted)
    generator = np.random.default_rng(1)
    totals, correlations, unweighted = [], [], []
    for _ in range(600):
        chosen = draw(kinds, SIZES, generator)
        unweighted.append(defined(correlation(pick(real, chosen), pick(predicted, chosen))))
        weights = weights_of(chosen, kinds, counts)
        totals.append(weights.values @ sums[chosen])
        scored = pick(real, chosen), pick(predicted, chosen)
        correlations.append(weighted_correlation(*scored, weights.values))
    error = np.std(totals, axis=0) / np.sqrt(600)
    assert (np.abs(np.mean(totals, axis=0) - sums.sum(axis=0)) <= 4 * error + 1e-9).all()
    true = defined(correlation(real, predicted))
    assert np.mean(correlations) == pytest.approx(true, abs=0.01)
    assert abs(np.mean(unweighted) - true) > 0.03  # what the weights are for


def test_excerpts_with_unequal_probabilities_in_a_stratum_are_unbiased() -> None:
    real, _ = population(200)
    kinds, counts = strata_of(real, n_top=0)
    probability = np.array([0.9 if kinds[i] is HIGH else 0.15 + 0.3 * (i % 2) for i in range(200)])
    totals = np.array([r.sum() for r in real])
    generator = np.random.default_rng(3)
    means = []
    for _ in range(800):
        chosen = np.flatnonzero(generator.random(200) < probability).tolist()
        weights = weigh([DrawnExcerpt(i, kinds[i], float(probability[i])) for i in chosen], counts)
        means.append(float(weights.values @ totals[chosen]))
    assert np.mean(means) == pytest.approx(totals.sum(), abs=4 * np.std(means) / np.sqrt(800) + 0.01 * totals.sum())


def test_an_excerpt_drawn_twice_counts_once_and_missing_strata_are_named() -> None:
    drawn = [DrawnExcerpt(1, TOP, 0.5), DrawnExcerpt(2, TOP, 0.5), DrawnExcerpt(1, TOP, 0.5)]
    weights = weigh(drawn, {TOP: 4, HIGH: 3, LOW: 13})
    assert weights.indices.tolist() == [0, 1]
    assert weights.values.tolist() == [2.0, 2.0]
    assert weights.missing == (LOW, HIGH)
    assert weights.missing_share == pytest.approx(16 / 20)


@pytest.mark.parametrize("probability", [0.0, 1.5, float("nan")])
def test_a_probability_that_is_none_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="inclusion probability"):
        weigh([DrawnExcerpt(1, TOP, probability)], {TOP: 1})


def test_more_excerpts_than_a_stratum_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="more excerpts"):
        weigh([DrawnExcerpt(1, TOP, 1.0), DrawnExcerpt(2, TOP, 1.0)], {TOP: 1})


def test_tokens_that_are_claimed_and_that_fire_are_as_many_as_in_the_corpus() -> None:
    fires = [np.array([True, True, False]), np.array([False, False, False])]
    claimed = [np.array([True, False, False]), np.array([True, False, False])]
    both, positive, true = np.array([1.0, 9.0]) @ detection_sums(fires, claimed)
    assert (both, positive, true) == (1, 10, 2)
    assert detection_sums([], []).shape == (0, 3)


def test_without_variation_they_are_undefined() -> None:
    flat = [np.ones(3, dtype=np.float32)]
    for statistic in (weighted_correlation, weighted_explained_variance):
        assert np.isnan(statistic(flat, flat, np.ones(1)))


def test_the_jackknife_tells_the_variance_over_draws() -> None:
    real, predicted = population()
    kinds, counts = strata_of(real)
    sizes = {TOP: 20, HIGH: 12, LOW: 25}
    generator = np.random.default_rng(5)
    found, told = [], []
    for _ in range(200):
        chosen = draw(kinds, sizes, generator)
        weights = weights_of(chosen, kinds, counts)
        sums = correlation_sums(pick(real, chosen), pick(predicted, chosen))
        found.append(float(pearson((weights.values @ sums)[None])[0]))
        told.append(jackknife_variance(weights, sums))
    assert np.mean(told) == pytest.approx(np.var(found), rel=0.5)


def test_replicates_keep_every_strata_total_and_leave_a_census_alone() -> None:
    drawn = [DrawnExcerpt(i, TOP, 1.0) for i in range(3)] + [
        DrawnExcerpt(10 + i, LOW, 0.01 * (1 + i)) for i in range(4)
    ]
    weights = weigh(drawn, {TOP: 3, LOW: 100})
    replicates, factors = jackknife_weights(weights)
    assert replicates.shape == (4, 7)
    assert factors.tolist() == pytest.approx([0.75 * 0.96] * 4)
    np.testing.assert_array_equal(replicates[:, :3], np.ones((4, 3)))
    np.testing.assert_allclose(replicates[:, 3:].sum(axis=1), 100)


def test_a_stratum_with_one_excerpt_is_joined_with_its_neighbour() -> None:
    drawn = [
        DrawnExcerpt(1, TOP, 0.25),
        DrawnExcerpt(2, HIGH, 0.1),
        DrawnExcerpt(3, LOW, 0.1),
        DrawnExcerpt(4, LOW, 0.1),
        DrawnExcerpt(5, LOW, 0.1),
    ]
    replicates, _ = jackknife_weights(weigh(drawn, {TOP: 4, HIGH: 30, LOW: 300}))
    assert len(replicates) == 5
    np.testing.assert_allclose(replicates.sum(axis=1), 334)


def excerpt(excerpt_id: int, stratum: SampleKind | None, probability: float | None) -> ActivationRecord:
    return ActivationRecord(
        excerpt_id, np.array([excerpt_id], dtype=np.int32), np.array([1.0], dtype=np.float32), stratum, probability
    )


def test_what_is_scored_of_each_sample_makes_the_probability() -> None:
    samples = {
        TOP: tuple(excerpt(i, TOP, 1.0) for i in range(4)),
        LOW: tuple(excerpt(10 + i, LOW, 0.3) for i in range(4)),
        RANDOM: (excerpt(20, LOW, 0.3), excerpt(0, TOP, 1.0)),
        SampleKind.HARD_NEGATIVE: (excerpt(30, None, None),),
    }
    records = NeuronRecords(samples, 1.0, populations={TOP: 4, LOW: 16, RANDOM: 20})
    scored = {kind: rows[:2] for kind, rows in samples.items()}
    found = {d.excerpt_id: (d.stratum, d.probability) for _, d in drawn_excerpts(records, scored)}
    uniform = 2 / 20
    assert found[1] == (TOP, 0.5)
    assert found[0] == (TOP, 0.5)
    assert found[10][1] == pytest.approx(0.5 * (0.3 - uniform) + uniform)
    assert found[20] == found[10]
    assert 30 not in found
