"""The catalogue of steps is consistent, in itself and with prompts, methods and the guide."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.steps import steps_table
from app.domain.activations import SampleKind
from app.domain.language_models import Capability
from app.domain.methods import BUILTIN_METHODS, LEXICAL, MethodDefinition
from app.domain.samples import BANDS
from app.domain.steps.calls import NO_CALLS, Calls, Span
from app.domain.steps.catalogue import ALL, EXPLAINERS, SCORERS, SIMULATORS, UnknownStep, catalogued
from app.domain.steps.method import NO_RECORDS, steps_of
from app.domain.steps.scored_records import SAMPLES
from app.domain.steps.spec import ExplainerInput, ScorerInput, SimulatorSpec, StepKind
from app.web.provenance.prompt_files import prompt_files
from worker.method.prompts import load

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
OF_REVIEWERS = {"review"}
"""Prompts that belong to no step of a method."""
FOLDER = Path(__file__).parents[2] / "worker" / "method" / "prompts"


def test_every_prompt_file_belongs_to_a_step() -> None:
    listed = {prompt for spec in ALL for prompt in spec.prompts}
    assert listed | OF_REVIEWERS == {path.stem for path in FOLDER.glob("*.txt")}


def test_every_step_says_what_it_does_and_what_it_does_not_notice_in_one_sentence() -> None:
    for spec in ALL:
        for sentence in (spec.description, spec.blind_spot):
            assert sentence[0].isupper()
            assert sentence.endswith(".")
            assert ". " not in sentence, sentence


def test_a_step_is_written_whole_or_not_at_all() -> None:
    def step(**changed: object) -> SimulatorSpec:
        whole: dict[str, object] = {
            "name": "x", "label": "X", "description": "Does.", "blind_spot": "All.", "calls": lambda _lengths: NO_CALLS
        }  # fmt: skip
        return SimulatorSpec(**{**whole, **changed})  # type: ignore[arg-type]  # any field by name

    assert step().needs == ()
    for changed in ({"prompts": ("x",)}, {"capabilities": frozenset({Capability.CHAT})}, {"blind_spot": ""}):
        with pytest.raises(ValueError, match="x: "):
            step(**changed)
    with pytest.raises(ValueError, match="two simulators are called x"):
        catalogued([step(), step()])


def test_a_method_that_asks_a_language_model_has_prompts_and_lexical_has_none() -> None:
    for method in BUILTIN_METHODS:
        steps = steps_of(method)
        assert bool(steps.prompts) is bool(steps.capabilities) is (method.provider is not None)


def around(explainer: str, /, **parameters: object) -> MethodDefinition:
    return replace(LEXICAL, explainer=explainer, parameters={"explainer": parameters})


def test_an_explainer_around_others_has_their_prompts_and_needs() -> None:
    assert steps_of(around("best_of_n", explainer="contrastive")).prompts == ("explain_contrastive",)
    assert steps_of(around("best_of_n")).prompts == ("explain_highlighted",)
    deep = steps_of(
        around("best_of_n", explainer="revise", explainer_parameters={"explainer": "token_activation_pairs"})
    )
    assert deep.prompts == ("explain_pairs", "write_sentences", "revise")
    assert deep.needs_subject
    assert not steps_of(around("best_of_n")).needs_subject


def test_a_method_needs_what_its_steps_need() -> None:
    by_name = {method.name: steps_of(method) for method in BUILTIN_METHODS}
    assert by_name["pairs-all-at-once"].capabilities == {Capability.CHAT, Capability.PROMPT_LOGPROBS}
    assert by_name["pairs-token-by-token"].capabilities == {Capability.CHAT, Capability.CHAT_LOGPROBS}
    assert {name for name, steps in by_name.items() if steps.needs_subject} == {
        "highlighted-written",
        "revised",
        "per-meaning",
    }
    assert by_name["contrastive"].needs_hard_negatives
    assert not by_name["lexical"].needs_hard_negatives
    assert by_name["lexical"].kinds == (SampleKind.TOP, SampleKind.RANDOM, *BANDS)


def test_a_scorer_speaks_of_samples_that_there_are() -> None:
    for spec in SCORERS.values():
        assert spec.samples({})
        assert set(spec.simulated(NO_RECORDS, {})) <= set(SampleKind)
    assert SCORERS["correlation"].simulated(NO_RECORDS, {"samples": ["band_1"]}) == {SampleKind.BAND_1: ()}
    assert SCORERS["ablation"].samples({"sample": "top"}) == ("top",)
    assert set(SampleKind) <= set(SAMPLES)


def test_an_explainer_that_wraps_needs_the_inner_ones_calls() -> None:
    given = ExplainerInput({}, NO_RECORDS, SIMULATORS["structured"].calls)
    for spec in EXPLAINERS.values():
        if spec.wraps is not None:
            with pytest.raises(ValueError, match="wraps another one"):
                spec.calls(given)


def test_without_records_nothing_is_rated_and_nothing_is_simulated() -> None:
    for spec in SCORERS.values():
        assert spec.calls(ScorerInput({}, NO_RECORDS, NO_RECORDS, lambda _: NO_CALLS)).n.least == 0
    assert SCORERS["detection"].calls(ScorerInput({}, NO_RECORDS, None, lambda _: NO_CALLS)) == NO_CALLS
    for simulator in SIMULATORS.values():
        assert simulator.calls([]) == NO_CALLS


def test_names_that_do_not_exist_are_no_steps() -> None:
    with pytest.raises(UnknownStep, match=r"no explainer called 'magic'; there are: best_of_n"):
        steps_of(around("magic"))
    assert "magic" not in EXPLAINERS


@pytest.mark.parametrize("kind", StepKind)
def test_the_guide_shows_every_step_as_the_catalogue_has_it(kind: StepKind) -> None:
    assert steps_table(kind) in GUIDE.read_text()


def test_a_page_shows_the_very_texts_that_the_worker_sends() -> None:
    for shown in prompt_files(("revise", "detection")):
        sent = load(shown.name)
        assert (shown.text, shown.digest) == (sent.text, sent.digest)


def test_spans_add_multiply_and_keep_their_order() -> None:
    few, many = Span(0, 1, 2), Span.exactly(3)
    assert few + many == Span(3, 4, 5)
    assert few * many == Span(0, 3, 6)
    assert Span(0, 2, 5).first_and_rest() == (Span(0, 1, 1), Span(0, 1, 4))
    with pytest.raises(ValueError, match="not in order"):
        Span(2, 1, 3)


def test_all_calls_but_the_first_may_reuse_what_they_begin_with() -> None:
    calls = Calls.of(Span.exactly(10), 100, 7, cached=60)
    assert (calls.tokens_in, calls.tokens_cached, calls.tokens_out) == (1000, 540, 70)
    assert Calls.of(Span.exactly(0), 100, 7, cached=60) == NO_CALLS
    twice = calls.times(Span(1, 2, 3)) + calls
    assert (twice.n, twice.tokens_in, twice.tokens_cached) == (Span(20, 30, 40), 3000, 1620)
