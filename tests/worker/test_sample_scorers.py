from collections.abc import Sequence

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.arrays import Float32s
from app.domain.results import SimulatedExcerpt
from app.domain.standing import SCORE_2023
from worker.method.contracts import ScoredExcerpt, Services, TextScorer
from worker.scorers.absolute_deviation import AbsoluteDeviationScorer
from worker.scorers.correlation import CorrelationScorer
from worker.scorers.explained_variance import ExplainedVarianceScorer
from worker.scorers.samples import SampleScorer

SCORERS: Sequence[type[SampleScorer]] = (CorrelationScorer, ExplainedVarianceScorer, AbsoluteDeviationScorer)


def floats(values: Sequence[float]) -> Float32s:
    return np.array(values, dtype=np.float32)


def excerpt(
    real: Sequence[float], expected: Sequence[float] | None, kind: SampleKind = SampleKind.TOP, unit: float = 0.5
) -> ScoredExcerpt:
    simulated = (
        SimulatedExcerpt(1, len(real), None, "no answer")
        if expected is None
        else SimulatedExcerpt(1, len(expected), floats(expected))
    )
    return ScoredExcerpt(kind, ActivationRecord(1, np.zeros(len(real), dtype=np.int32), floats(real)), simulated, unit)


TWO = [excerpt((0, 4), (2, 6)), excerpt((2, -2), (4, 0), SampleKind.RANDOM)]


def test_expected_activations_are_compared_in_the_models_units() -> None:
    """Predicted 1 3 2 0 for real 0 4 2 -2."""
    found = {r.scorer: r.value for r in ExplainedVarianceScorer(("top_and_random",)).score(TWO, seed=0)}
    assert found == {"explained_variance": pytest.approx(1 - 6 / 20), "uncentred_rsquared": pytest.approx(1 - 6 / 24)}
    (deviation,) = AbsoluteDeviationScorer(("top_and_random",)).score(TWO, seed=0)
    assert deviation.value == pytest.approx(1 - 4 / 8)


def test_correlation_does_not_care_for_units() -> None:
    (one,), (other,) = (
        CorrelationScorer(("top_and_random",)).score(
            [excerpt((0, 4), (2, 6), unit=unit), excerpt((2, -2), (4, 0), SampleKind.RANDOM, unit)], seed=0
        )
        for unit in (0.5, 7.0)
    )
    assert one.value == pytest.approx(other.value)
    assert SCORE_2023.names(one)


@pytest.mark.parametrize("scorer", SCORERS)
def test_each_sample_has_its_own_number_and_counts(scorer: type[SampleScorer]) -> None:
    bands = [excerpt((0, 1), (0, 1), SampleKind.BAND_1), excerpt((0, 1), None, SampleKind.BAND_1)]
    results = scorer(("top", "band_1")).score([*TWO, *bands], seed=0)
    counts = {(r.sample, r.n_valid, r.n_failed) for r in results}
    assert counts == {("top", 1, 0), ("band_1", 1, 1)}


@pytest.mark.parametrize("scorer", SCORERS)
def test_what_failed_is_missing_and_never_a_number(scorer: type[SampleScorer]) -> None:
    for result in scorer(("top",)).score([excerpt((0, 1), None)] * 2, seed=0):
        assert (result.value, result.interval, result.n_valid, result.n_failed) == (None, None, 0, 2)
        assert result.undefined_reason == "no excerpt could be simulated: no answer"
    for result in scorer(("random",)).score(TWO[:1], seed=0):
        assert result.undefined_reason == "the neuron has no such records"


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_scorer_needs_the_samples_that_it_describes(scorer: type[SampleScorer]) -> None:
    built = scorer.build({"samples": ["top_and_random", "band_3", "hard_negative"]}, Services())
    kinds = list(built.simulated(NeuronRecords({}, 1.0)))
    assert kinds == [SampleKind.TOP, SampleKind.RANDOM, SampleKind.BAND_3, SampleKind.HARD_NEGATIVE]
    assert not isinstance(built, TextScorer)
