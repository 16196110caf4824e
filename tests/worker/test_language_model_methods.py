"""Every registered step runs through the pipeline with a language model and a subject at hand."""

import json
from dataclasses import replace

import pytest

from app.domain.activations import ActivationRecord, SampleKind
from app.domain.methods import LANGUAGE_MODEL_METHODS, MethodDefinition
from app.domain.results import ExplanationResult
from app.domain.standing import SCORE_2023
from tests.fake_provider import FakeProvider
from tests.worker.live_fakes import FakeSubject
from tests.worker.raters import asked, by_word
from tests.worker.tasks import Excerpt, task
from worker.method.contracts import NeuronTask, Services
from worker.method.pipeline import run_method
from worker.method.registry import EXPLAINERS, SCORERS, build_method
from worker.providers.base import ChatRequest

IMPORT: Excerpt = (("from", 0.0), (" os", 0.0), (" import", 8.0), (" path", 0.5), (" tea", 0.0), ("\n", -0.5))
CATS: Excerpt = (("cats", 0.0), (" drink", 0.0), (" tea", 0.2), ("\n", 0.0))
LOOKALIKE: Excerpt = (("They", 0.0), (" import", 0.4), (" tea", 0.0), ("\n", 0.0))
PLAIN = task(
    {
        SampleKind.TOP: [IMPORT] * 20,
        SampleKind.RANDOM: [CATS] * 15,
        SampleKind.BAND_2: [LOOKALIKE] * 6,
        SampleKind.HARD_NEGATIVE: [LOOKALIKE] * 8,
    }
)
NEURON = replace(PLAIN, records=replace(PLAIN.records, mean=0.5), peer=PLAIN.records)
EVERY_SCORE = (
    "correlation",
    "correlation_margin",
    "explained_variance",
    "uncentred_rsquared",
    "absolute_deviation",
    "ablation",
    "detection",
    "detection_auc",
    "fuzzing",
    "fuzzing_auc",
)
CHANCES = {
    "detection": 0.5,
    "detection_auc": 0.5,
    "fuzzing": 0.5,
    "fuzzing_auc": 0.5,
    "own_texts": 0.0,
    "intruder": 0.2,
}
WITHOUT_BASELINES = (
    "boundary",
    "boundary_inside",
    "boundary_outside",
    "own_texts",
    "written_texts",
    "intruder",
    "correlation_margin",
)
"""Scores on sentences of their own, without any text, or less a baseline already."""


def answer(request: ChatRequest) -> str:
    if request.step.startswith(("detect", "fuzz")):
        return by_word(request)
    if request.step.startswith("intruder"):
        return json.dumps({"odd": 1})
    if request.step == "sentences":
        return json.dumps({"fires": ["cats import tea"] * 6, "silent": ["cats drink tea"] * 6})
    return json.dumps({"explanation": '" import"'})


def run(explainer: str, scorers: tuple[str, ...], told: NeuronTask = NEURON) -> tuple[ExplanationResult, ...]:
    definition = MethodDefinition("test", 1, "Test", explainer, "lexical", scorers, provider="fake")
    services = Services(provider=FakeProvider(answer), subject=FakeSubject(told.vocabulary, {"import": 8.0}))
    return run_method(build_method(definition, services), told, lambda _stage, _share: None)


@pytest.mark.parametrize("explainer", [name for name in EXPLAINERS if name != "lexical"])
def test_every_explainer_gives_a_text_that_is_simulated_and_scored(explainer: str) -> None:
    (result,) = run(explainer, ("correlation",))
    assert result.text == '" import"'
    assert SCORE_2023.names(result.scores[0])
    assert result.scores[0].simulator
    assert (result.scores[0].value or 0) > 0.9
    json.dumps(result.provenance)


def test_every_scorer_gives_a_number_with_its_interval_and_baselines() -> None:
    # These need strata, similar neurons and a kept corpus, which this neuron has none of: each has its own tests.
    others = ("whole_corpus", "neighbours", "found_texts")
    (result,) = run("highlighted", tuple(name for name in SCORERS if name not in others))
    found = {score.scorer: score for score in reversed(result.scores)}
    assert set(found) == {*EVERY_SCORE, *WITHOUT_BASELINES}
    for name, score in found.items():
        assert score.value is not None, name
        assert score.interval is not None, name
        assert score.n_valid > 0
        assert score.n_failed == 0
        assert (score.token_lookup_baseline is None) == (name in WITHOUT_BASELINES)
        assert (score.shuffled_baseline is None) == (name in ("ablation", *WITHOUT_BASELINES))
        assert score.chance == CHANCES.get(name)


def test_what_a_text_is_scored_on_is_never_shown_to_its_explainer() -> None:
    hidden: Excerpt = (("HELD", 8.0), (" OUT", 0.0), ("\n", 0.0))
    rows = [IMPORT, IMPORT, hidden, hidden] * 5
    told = task({SampleKind.TOP: rows, SampleKind.RANDOM: [CATS] * 15, SampleKind.HARD_NEGATIVE: [LOOKALIKE] * 8})
    for explainer in (name for name in EXPLAINERS if name != "lexical"):
        provider = FakeProvider(answer)
        definition = MethodDefinition("test", 1, "Test", explainer, "lexical", ("correlation",), provider="fake")
        services = Services(provider=provider, subject=FakeSubject(told.vocabulary, {"import": 8.0}))
        run_method(build_method(definition, services), told, lambda _stage, _share: None)
        assert not any("HELD" in m.content for request in asked(provider) for m in request.messages)


def test_hard_negatives_are_derived_for_a_neuron_that_has_none() -> None:
    samples: dict[SampleKind, tuple[ActivationRecord, ...]] = {
        kind: rows for kind, rows in PLAIN.records.samples.items() if kind is not SampleKind.HARD_NEGATIVE
    }
    told = replace(PLAIN, records=replace(PLAIN.records, samples=samples))
    (result,) = run("contrastive", ("correlation",), told)
    assert result.provenance["explain"]["similar_excerpt_ids"]


def test_scores_come_out_the_same_again() -> None:
    first, again = (run("highlighted", tuple(SCORERS))[0].scores for _ in range(2))
    assert first == again


def test_a_language_model_that_cannot_rate_leaves_detection_undefined_and_the_rest_standing() -> None:
    provider = FakeProvider(lambda request: answer(request) if request.step.startswith("explain") else "words")
    scorers = ("correlation", "detection", "fuzzing")
    definition = MethodDefinition("test", 1, "Test", "highlighted", "lexical", scorers, provider="fake")
    method = build_method(definition, Services(provider=provider))
    (result,) = run_method(method, NEURON, lambda _stage, _share: None)
    values = {score.scorer: (score.value, score.n_valid) for score in reversed(result.scores)}
    assert values["detection"] == values["fuzzing_auc"] == (None, 0)
    assert values["correlation"][0] is not None


@pytest.mark.parametrize("definition", LANGUAGE_MODEL_METHODS, ids=lambda definition: definition.name)
def test_every_built_in_method_can_be_built(definition: MethodDefinition) -> None:
    services = Services(provider=FakeProvider(answer), subject=FakeSubject(NEURON.vocabulary, {}))
    method = build_method(definition, services)
    assert method.simulator.name == f"{definition.simulator}+linear"
    assert [scorer.name for scorer in method.scorers] == list(definition.scorers)
