"""The benchmark of scores at a small size: its pool, its draws, its comparisons."""

import json

import numpy as np
import pytest

from app.domain.activations import SampleKind
from app.domain.estimates import drawn_excerpts, weigh
from app.domain.samples import STRATA
from app.domain.tokens import Vocabulary
from benchmarks.reading_pool import lines
from benchmarks.truth.__main__ import TARGETS, Size, Truth, as_document
from benchmarks.truth.coverage import Coverage, coverage
from benchmarks.truth.numbers import DOUBTS, EXECUTED, FOUND_TEXTS, NEIGHBOURS, SCORE_2023, WHOLE_CORPUS, built
from benchmarks.truth.planted import Case, bias, cases, compared, kinds_of, without_conditions
from benchmarks.truth.pool import TOKENS, Pool, PoolSubject, measured, strata_of
from benchmarks.truth.sanity import EXTRA, MISSING, Sanity, sanity
from worker.collection.statistics import LISTED_TOKENS

WORDS = tuple(f" w{chr(97 + i // 26)}{chr(97 + i % 26)}".encode() for i in range(200))
VOCABULARY = Vocabulary("words", WORDS)


def a_pool(n_neurons: int = 4, n_excerpts: int = 300) -> Pool:
    """Neurons of one layer that fire on two words each, the first one strongly."""
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, len(WORDS), size=(n_excerpts, TOKENS), dtype=np.int32)
    neurons = []
    for number in range(n_neurons):
        strength = (
            4.0 * (tokens == 2 * number) + 2.5 * (tokens == 2 * number + 1) + 0.1 * generator.random(tokens.shape)
        )
        neurons.append(measured(number, (0, number), strength.astype(np.float32), tokens))
    return Pool(tokens, tuple(neurons), VOCABULARY)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return a_pool()


@pytest.fixture(scope="module")
def found(pool: Pool) -> list[Case]:
    return cases(pool, seed=0)


def test_strata_are_a_partition_and_weights_restore_the_pool(pool: Pool) -> None:
    neuron = pool.neurons[0]
    strata = strata_of(neuron.peaks)
    assert tuple(strata) == STRATA
    assert sorted(np.concatenate(list(strata.values())).tolist()) == list(range(300))
    assert min(neuron.peaks[strata[SampleKind.TOP]]) >= max(neuron.peaks[strata[SampleKind.BAND_0]])
    records = pool.records(neuron, seed=1)
    drawn = [draw for _, draw in drawn_excerpts(records, records.samples)]
    weights = weigh(drawn, records.populations)
    assert weights.values.sum() == pytest.approx(300)
    assert len(weights.values) == len({draw.excerpt_id for draw in drawn})


def test_the_token_table_is_the_one_that_a_collection_would_list(pool: Pool) -> None:
    """Half by their mean, half by the variance that they explain; with 200 words both halves are full."""
    table = pool.neurons[0].table
    assert len(table.token_ids) == LISTED_TOKENS
    assert table.token_ids[:2].tolist() == [0, 1]
    assert table.n_others + table.counts.sum() == pool.tokens.size


def test_what_is_read_of_a_neuron_names_its_tokens_and_its_mistakes(pool: Pool) -> None:
    head, tokens, *rest = lines(pool, pool.neurons[0])
    assert head.startswith("0/0 (executed ")
    assert head.endswith(('): fires on " waa", weakly on " wab"', '): fires on " waa" and " wab"'))
    assert tokens.startswith("  tokens  waa 9.")
    assert sum(line.startswith("  top ") and "« waa»" in line for line in rest) == 5
    assert rest[-2:] == ["  false alarms ", "  misses "]


def test_right_texts_win_over_planted_ones(found: list[Case]) -> None:
    assert len(found) == 4
    assert {"swapped", "shifted", "too_narrow"} <= set(kinds_of(found))
    for kind in ("swapped", "too_narrow"):
        for scorer in (EXECUTED, WHOLE_CORPUS, SCORE_2023):
            comparison = compared(found, scorer, kind)
            assert comparison is not None
            assert comparison.paired == 1.0
            assert comparison.paired_interval[0] < 1.0
    assert compared(found, EXECUTED, "no such kind") is None


def test_every_score_of_a_right_text_is_measured_and_doubts_are_counted(found: list[Case]) -> None:
    for case in found:
        assert {NEIGHBOURS, FOUND_TEXTS} <= set(case.right)
        assert case.right[FOUND_TEXTS] == pytest.approx(1.0)
        assert (case.right[DOUBTS] or 0) < (case.wrong["swapped"][DOUBTS] or 0)


def test_coverage_is_measured_for_every_interval(pool: Pool) -> None:
    covered = coverage(pool, seed=0, n_draws=2)
    assert {WHOLE_CORPUS, SCORE_2023, "detection_auc", f"{FOUND_TEXTS}_frequency"} <= set(covered)
    assert all(0 <= own.covered <= 1 and own.n > 0 for own in covered.values())


def test_a_pool_answers_for_the_subject_about_its_own_excerpts(pool: Pool) -> None:
    neuron = pool.neurons[1]
    subject = PoolSubject(pool, neuron)
    drawn = subject.corpus_excerpts(5, seed=3)
    assert len({row.tobytes() for row in drawn}) == 5
    (first, *_) = subject.excerpt_activations(drawn, layer=0, index=1)
    assert first.tolist() == neuron.activations[pool.ordinals[drawn[0].tobytes()]].tolist()
    with pytest.raises(KeyError):
        subject.excerpt_activations(drawn, layer=0, index=2)


def test_an_undefined_score_loses_against_any_other() -> None:
    case = Case("a", {EXECUTED: -0.5}, {"swapped": {EXECUTED: None}})
    other = Case("b", {EXECUTED: None}, {"swapped": {EXECUTED: None}})
    comparison = compared([case, other], EXECUTED, "swapped")
    assert comparison is not None
    assert comparison.paired == 0.75


def test_the_weighted_estimate_is_near_what_the_pool_says(found: list[Case]) -> None:
    mean, (low, high) = bias(found)
    assert low <= mean <= high
    assert abs(mean) < 0.1


def test_places_are_dropped_where_there_are_any() -> None:
    assert without_conditions('fires on "a" after "b"') == 'fires on "a"'
    assert without_conditions('fires on "a"') is None
    assert without_conditions('fires on any token after "b"') is None


def test_exact_scores_notice_missing_and_extra_labels() -> None:
    checks = sanity(built(), n_excerpts=200, n_neurons=3, seed=0, rates=(0.05,))
    assert [(check.check, check.rate, check.n) for check in checks] == [(MISSING, 0.05, 3), (EXTRA, 0.05, 3)]
    for check in checks:
        assert check.noticed[EXECUTED] == 1.0
        assert {EXECUTED, WHOLE_CORPUS, SCORE_2023} <= set(check.noticed)


def test_every_shortfall_is_named_beside_its_scorer() -> None:
    numbers = [{EXECUTED: 0.5, WHOLE_CORPUS: 0.5}, {EXECUTED: 0.6, WHOLE_CORPUS: 0.7}]
    own = [Case("a", right, {"twice_too_broad": {EXECUTED: 0.4, WHOLE_CORPUS: 0.65}}) for right in numbers]
    truth = Truth(
        Size(1, 2, 1, 10, 1),
        own,
        [],
        [Sanity(EXTRA, 0.001, 10, {EXECUTED: 1.0, WHOLE_CORPUS: 0.5})],
        {WHOLE_CORPUS: Coverage(100, 0.8, (0.7, 0.9), 0.3)},
    )
    shortfalls = truth.shortfalls()
    assert {short.scorer for short in shortfalls} == {WHOLE_CORPUS}
    pairs, labels, intervals = shortfalls
    assert pairs.label == "twice too broad"
    assert "twice too broad: the right text wins 50.0% of 2 pairs, the target is 97.0%" in pairs.sentence
    assert labels.label == "extra labels at 0.10%"
    assert "a neuron that fires on 0.10% of tokens: it falls for 50% of 10 neurons" in labels.sentence
    assert "80.0% of 100 draws" in intervals.sentence
    document = json.loads(json.dumps(as_document(truth)))
    assert document["scorers"][WHOLE_CORPUS]["coverage"] == 0.8
    assert document["scorers"][WHOLE_CORPUS]["shortfalls"][0] == {"label": pairs.label, "sentence": pairs.sentence}
    assert document["scorers"][EXECUTED]["right_wins"]["twice_too_broad"]["paired"] == 1.0
    assert set(TARGETS) >= {"twice_too_broad", "swapped"}
