from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from app.domain.activations import SampleKind, Split
from app.domain.divergence import jensen_shannon
from app.domain.results import SimulatedExcerpt
from app.errors import MethodError
from tests.worker.live_fakes import FakeSubject
from tests.worker.tasks import Excerpt, task
from worker.method.contracts import NeuronTask, ScoredExcerpt, Services, TextScorer
from worker.scorers.ablation import AblationScorer

STRENGTHS = {"import": 4.0}
IMPORT: Excerpt = (("import", 4.0), (" tea", 0.0), (" os", 0.0))
CATS: Excerpt = (("cats", 0.0), (" sleep", 0.0))
NEURON = task({SampleKind.TOP: [IMPORT] * 4, SampleKind.RANDOM: [CATS] * 3}, maximum=4.0)
KNOWN = replace(NEURON, records=replace(NEURON.records, mean=1.0))


def excerpts(told: NeuronTask, *expected: Sequence[float] | None) -> list[ScoredExcerpt]:
    """The validation records, with expected activations (0..10) for the top and the random one."""
    pairs = [(kind, told.records.of(kind, Split.VALIDATION)[0]) for kind in (SampleKind.TOP, SampleKind.RANDOM)]
    return [
        ScoredExcerpt(
            kind,
            record,
            SimulatedExcerpt(1, 2, None, "no answer")
            if row is None
            else SimulatedExcerpt(1, len(row), np.array(row, dtype=np.float32)),
            unit=0.4,
        )
        for (kind, record), row in zip(pairs, expected, strict=True)
    ]


def scorer() -> AblationScorer:
    return AblationScorer(FakeSubject(NEURON.vocabulary, STRENGTHS))


def test_a_simulation_that_is_right_everywhere_has_score_one() -> None:
    (result,) = scorer().score_text("imports", KNOWN, excerpts(KNOWN, (10, 0, 0), (0, 0)))
    assert (result.scorer, result.sample) == ("ablation", "top_and_random")
    assert result.value == pytest.approx(1.0)
    assert (result.n_valid, result.n_failed) == (2, 0)
    assert result.token_lookup_baseline == pytest.approx(1.0)
    assert result.shuffled_baseline is None


def test_a_simulation_of_the_mean_has_score_zero() -> None:
    (result,) = scorer().score_text("?", KNOWN, excerpts(KNOWN, (2.5, 2.5, 2.5), (2.5, 2.5)))
    assert result.value == pytest.approx(0.0, abs=1e-6)


def test_the_score_by_hand() -> None:
    """The output is (sigmoid(a), sigmoid(-a)): real 4 0 0 0 0, simulated 0 everywhere, mean 1."""

    def moved(real: float, replaced: float) -> float:
        p, q = (np.array([[-np.logaddexp(0, -a), -np.logaddexp(0, a)]], dtype=np.float32) for a in (real, replaced))
        return float(jensen_shannon(p, q)[0])

    (result,) = scorer().score_text("nothing", KNOWN, excerpts(KNOWN, (0, 0, 0), (0, 0)))
    assert result.value == pytest.approx(1 - moved(4, 0) / (moved(4, 1) + 4 * moved(0, 1)), rel=1e-5)


def test_excerpts_that_could_not_be_simulated_are_left_out() -> None:
    (result,) = scorer().score_text("imports", KNOWN, excerpts(KNOWN, (10, 0, 0), None))
    assert result.value == pytest.approx(1.0)
    assert (result.n_valid, result.n_failed) == (1, 1)
    (none,) = scorer().score_text("imports", KNOWN, excerpts(KNOWN, None, None))
    assert (none.value, none.undefined_reason) == (None, "no excerpt could be simulated: no answer")


def test_an_unknown_mean_is_not_made_up_from_some_records() -> None:
    (unknown,) = scorer().score_text("imports", NEURON, excerpts(NEURON, (0, 0, 0), (0, 0)))
    assert (unknown.value, unknown.n_valid) == (None, 2)
    assert unknown.undefined_reason == "the neuron's mean over the corpus is not known"


def test_it_needs_the_subject_and_the_neurons_own() -> None:
    with pytest.raises(MethodError, match="has not loaded it"):
        AblationScorer.build({}, Services())
    with pytest.raises(MethodError, match="belongs to another"):
        scorer().score_text("imports", replace(KNOWN, subject="another"), excerpts(KNOWN, (0, 0, 0), (0, 0)))
    built = AblationScorer.build({"sample": "top"}, Services(subject=FakeSubject(NEURON.vocabulary, STRENGTHS)))
    assert isinstance(built, TextScorer)
    assert list(built.simulated(NEURON.records)) == [SampleKind.TOP]
