from dataclasses import replace

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.results import SimulatedExcerpt
from app.domain.standing import MARGIN_2023, SCORE_2023
from worker.method.contracts import ScoredExcerpt
from worker.scorers.correlation import CorrelationScorer

TOP, RANDOM = SampleKind.TOP, SampleKind.RANDOM


def excerpt(kind: SampleKind, real: list[float], expected: list[float] | None, unit: float = 1.0) -> ScoredExcerpt:
    ids = np.zeros(len(real), dtype=np.int32)
    row = None if expected is None else np.array(expected, dtype=np.float32)
    simulated = SimulatedExcerpt(1, len(real), row, None if expected is not None else "no answer")
    return ScoredExcerpt(kind, ActivationRecord(1, ids, np.array(real, dtype=np.float32)), simulated, unit)


def test_top_and_random_excerpts_are_laid_end_to_end() -> None:
    rows = [excerpt(TOP, [0, 1], [0, 2]), excerpt(RANDOM, [2, 3], [1, 3])]
    headline, random = CorrelationScorer().score(rows, seed=0)
    assert headline.value == pytest.approx(0.8)
    assert SCORE_2023.names(headline)
    assert random.value == pytest.approx(1.0)


def test_a_failed_excerpt_is_missing_and_not_zero() -> None:
    rows = [excerpt(TOP, [0, 1], [0, 2]), excerpt(TOP, [9, 9], None), excerpt(RANDOM, [2, 3], [1, 3])]
    headline, _ = CorrelationScorer().score(rows, seed=0)
    assert headline.value == pytest.approx(0.8)
    assert (headline.n_valid, headline.n_failed) == (2, 1)


def test_where_everything_failed_the_reason_is_the_failure() -> None:
    headline, random = CorrelationScorer().score([excerpt(TOP, [0, 1], None)], seed=0)
    assert headline.value is None
    assert "no answer" in str(headline.undefined_reason)
    assert random.undefined_reason == "the neuron has no such records"


def on(number: int, kind: SampleKind, real: list[float], expected: list[float] | None) -> ScoredExcerpt:
    made = excerpt(kind, real, expected)
    return replace(made, record=replace(made.record, excerpt_id=number))


def test_the_margin_is_measured_on_the_excerpts_that_both_have() -> None:
    own = [on(1, TOP, [0, 1], [0, 2]), on(2, TOP, [9, 9], None), on(3, RANDOM, [2, 3], [1, 3])]
    table = [on(1, TOP, [0, 1], [1, 0]), on(2, TOP, [9, 9], [3, 9]), on(3, RANDOM, [2, 3], [1, 1])]
    (margin,) = CorrelationScorer().margins(own, table, seed=0)
    assert MARGIN_2023.names(margin)
    table_reaches = np.corrcoef([0, 1, 2, 3], [1, 0, 1, 1])[0, 1]
    assert margin.value == pytest.approx(0.8 - table_reaches)
    assert (margin.n_valid, margin.n_failed) == (2, 1)


def test_there_is_no_margin_without_a_token_table_or_the_2023_score() -> None:
    own = [on(1, TOP, [0, 1], [0, 2])]
    assert CorrelationScorer().margins(own, [on(1, TOP, [0, 1], None)], seed=0) == ()
    assert CorrelationScorer(("random",)).margins(own, own, seed=0) == ()


def test_a_silent_expectation_has_no_correlation() -> None:
    headline, _ = CorrelationScorer().score([excerpt(TOP, [0, 1], [0, 0])], seed=0)
    assert headline.value is None
    assert "expected" in str(headline.undefined_reason)


def test_other_mixtures_can_be_asked_for() -> None:
    scorer = CorrelationScorer(samples=("band_1",))
    assert scorer.simulated(NeuronRecords({}, 1.0)) == {SampleKind.BAND_1: ()}
    (result,) = scorer.score([excerpt(SampleKind.BAND_1, [0, 1], [0, 2])], seed=0)
    assert result.sample == "band_1"
