from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.arrays import Float32s
from app.domain.executed import CORPUS, FIRING_LEVEL
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.samples import STRATA, SampleKind
from app.domain.scores import correlation
from app.domain.tokens import Vocabulary
from worker.method.contracts import NeuronTask, ScoredExcerpt
from worker.scorers.whole_corpus import NUMBERS, WholeCorpusScorer

MAXIMUM, TOKENS, PER_STRATUM = 10.0, 8, 12
POPULATIONS = {SampleKind.TOP: 20, **dict(zip(STRATA[1:], (5_000, 4_000, 900, 90, 9), strict=True))}
VOCABULARY = Vocabulary("numbers", tuple(f" {i}".encode() for i in range(40)))
Expected = Mapping[int, Float32s]


def neuron(
    *, populations: Mapping[SampleKind, int] | None = None, drawn_from: Mapping[SampleKind, int] = POPULATIONS
) -> NeuronTask:
    """Records of every stratum, the higher the stronger, and uniform ones, each text different."""
    generator, samples, number = np.random.default_rng(0), {}, 0
    everything = sum(drawn_from.values())
    for rank, kind in enumerate((SampleKind.TOP, *reversed(STRATA[1:]), SampleKind.RANDOM)):
        rows = []
        for _ in range(min(PER_STRATUM, drawn_from.get(kind, PER_STRATUM))):
            stratum = SampleKind.BAND_0 if kind is SampleKind.RANDOM else kind
            number += 1
            level = MAXIMUM / 2 ** (5 if kind is SampleKind.RANDOM else rank)
            activations = (generator.random(TOKENS) ** 3 * level).astype(np.float32)
            tokens = generator.permutation(40)[:TOKENS].astype(np.int32)
            probability = min(1.0, PER_STRATUM / drawn_from[stratum] + PER_STRATUM / everything)
            rows.append(ActivationRecord(number, tokens, activations, stratum, probability))
        samples[kind] = tuple(rows)
    counts = dict(drawn_from) | {SampleKind.RANDOM: everything} if populations is None else populations
    return NeuronTask(1, "tiny", 0, 0, NeuronRecords(samples, MAXIMUM, populations=counts), VOCABULARY, None, seed=0)


def score(task: NeuronTask, expect: str = "half right") -> dict[str, ScoreResult]:
    """The scorer's numbers for a simulator that is right, half right, silent or broken."""
    scorer, generator, excerpts = WholeCorpusScorer(), np.random.default_rng(1), []
    for kind, records in scorer.simulated(task.records).items():
        for record in records:
            expected: Float32s | None = record.activations.copy()
            if expect == "half right":
                expected = (record.activations + generator.random(TOKENS)).astype(np.float32)
            if expect == "silent":
                expected = np.zeros(TOKENS, dtype=np.float32)
            if expect == "broken" or (expect == "half broken" and record.excerpt_id % 2):
                expected = None
            failure = "cut short" if expected is None else None
            simulated = SimulatedExcerpt(record.excerpt_id, TOKENS, expected, failure)
            excerpts.append(ScoredExcerpt(kind, record, simulated, 1.0))
    return {result.scorer: result for result in scorer.score_text("any", task, excerpts)}


def test_a_right_text_is_perfect_on_both_sides_and_its_shares_are_not_certain() -> None:
    found = score(neuron(), "right")
    assert set(found) == set(NUMBERS)
    assert {result.sample for result in found.values()} == {CORPUS}
    for name in ("whole_corpus", "whole_corpus_explained_variance", "whole_corpus_precision", "whole_corpus_recall"):
        assert found[name].value == pytest.approx(1.0)
    low, high = found["whole_corpus_precision"].interval or (0.0, 0.0)
    assert low < 0.95
    assert high == pytest.approx(1.0)


def test_ordinary_text_weighs_as_it_does_in_the_corpus() -> None:
    """Noise that hardly disturbs the strongest excerpts drowns the many weak ones."""
    task = neuron()
    found = score(task)["whole_corpus"]
    records = [r for rows in WholeCorpusScorer().simulated(task.records).values() for r in rows]
    noise = np.random.default_rng(1)
    noisy = [(r.activations + noise.random(TOKENS)).astype(np.float32) for r in records]
    plain = correlation([r.activations for r in records], noisy).value
    assert found.value is not None
    assert plain is not None
    assert 0 < found.value < plain - 0.2
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]


def test_on_a_census_it_is_the_plain_correlation() -> None:
    task = neuron(drawn_from=dict.fromkeys(STRATA, 3))
    scorer = WholeCorpusScorer(excerpts_per_sample=100)
    everything = {r.excerpt_id: r for kind in STRATA for r in task.records.of(kind)}
    generator = np.random.default_rng(2)
    expected = {i: generator.random(TOKENS).astype(np.float32) for i in everything}
    excerpts = [
        ScoredExcerpt(r.stratum or SampleKind.TOP, r, SimulatedExcerpt(i, TOKENS, expected[i]), 1.0)
        for i, r in everything.items()
    ]
    results = {r.scorer: r for r in scorer.score_text("any", task, excerpts)}
    plain = correlation([r.activations for r in everything.values()], list(expected.values()))
    assert results["whole_corpus"].value == pytest.approx(plain.value)


def test_a_text_that_claims_nothing_has_recall_zero_and_no_precision() -> None:
    found = score(neuron(), "silent")
    assert found["whole_corpus_recall"].value == 0.0
    assert found["whole_corpus_precision"].undefined_reason == "nothing is claimed on any scored token"
    assert "same on every token" in str(found["whole_corpus"].undefined_reason)


@given(st.floats(2**-10, 1024, width=32))
def test_a_claim_of_the_lowest_level_that_counts_is_a_claim_whatever_the_maximum(maximum: float) -> None:
    """In units of the model, level 3 is rounded to below three tenths of the maximum for every other neuron."""
    task = neuron()
    scaled = {
        kind: tuple(
            replace(r, activations=np.where(r.activations > 2, maximum, 0.0).astype(np.float32)) for r in records
        )
        for kind, records in task.records.samples.items()
    }
    task = replace(task, records=replace(task.records, samples=scaled, maximum=maximum))
    scorer = WholeCorpusScorer()
    unit = task.records.level_10 / 10
    excerpts = [
        ScoredExcerpt(kind, record, SimulatedExcerpt(record.excerpt_id, TOKENS, _level(record, FIRING_LEVEL)), unit)
        for kind, records in scorer.simulated(task.records).items()
        for record in records
    ]
    found = {result.scorer: result for result in scorer.score_text("any", task, excerpts)}
    assert found["whole_corpus_precision"].value == found["whole_corpus_recall"].value == 1.0


def _level(record: ActivationRecord, level: float) -> Float32s:
    """So much on every token that fires."""
    return np.where(record.activations > 0, level, 0).astype(np.float32)


def test_the_margin_over_the_token_table_is_paired() -> None:
    found = score(neuron())
    own, margin = found["whole_corpus"], found["whole_corpus_margin"]
    assert own.token_lookup_baseline is not None
    assert own.value is not None
    assert margin.value == pytest.approx(own.value - own.token_lookup_baseline)
    assert margin.interval is not None
    assert margin.interval[0] < (margin.value or 0.0) < margin.interval[1]


def test_failed_excerpts_are_counted_apart_and_a_stratum_that_failed_whole_is_named() -> None:
    half = score(neuron(), "half broken")["whole_corpus"]
    assert half.n_valid > 0
    assert half.n_failed > 0
    none = score(neuron(), "broken")["whole_corpus"]
    assert (none.value, none.n_valid) == (None, 0)
    assert "cut short" in str(none.undefined_reason)
    task = neuron()
    samples = {kind: rows for kind, rows in task.records.samples.items() if kind not in ("band_0", "random")}
    lost = score(replace(task, records=NeuronRecords(samples, MAXIMUM, populations=task.records.populations)))
    assert "band_0" in str(lost["whole_corpus"].undefined_reason)


def test_imports_whose_strata_are_not_known_are_undefined_for_that_reason() -> None:
    task = neuron(populations={})
    samples = {
        kind: tuple(ActivationRecord(r.excerpt_id, r.token_ids, r.activations) for r in rows)
        for kind, rows in task.records.samples.items()
    }
    found = score(replace(task, records=NeuronRecords(samples, MAXIMUM)))["whole_corpus"]
    assert found.undefined_reason == "the number of excerpts in each stratum of the corpus is not known"
