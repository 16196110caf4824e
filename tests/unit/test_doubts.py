from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.domain.activations import ActivationRecord
from app.domain.doubt_rules import EvidenceFacts, Facts, Measure, ScoreFacts, doubts
from app.domain.doubts import ABOUT, LONGEST, Doubt, FigureKind
from app.domain.evidence import evidence_facts

WELL = Measure(0.8, (0.6, 0.9))
TEXT = 'fires on " import" after a line break'


def of(facts: Facts) -> dict[Doubt, float]:
    return {raised.doubt: round(raised.figure, 4) for raised in doubts(facts)}


def scored(score: Measure | None = WELL, **values: Any) -> Facts:
    return Facts(text=TEXT, scores=replace(ScoreFacts(score=score, n_valid=10), **values))


def seen(**values: Any) -> Facts:
    return Facts(text=TEXT, evidence=replace(EvidenceFacts(n_top=20, n_documents=10), **values))


CASES: tuple[tuple[Facts, dict[Doubt, float]], ...] = (
    (scored(), {}),
    (scored(None), {}),
    (scored(shuffled=0.59), {}),
    (scored(shuffled=0.6), {Doubt.SHUFFLED: 0.2}),
    (scored(Measure(0.3), shuffled=0.4), {Doubt.SHUFFLED: -0.1}),
    (scored(None, shuffled=0.4), {}),
    (scored(token_table=0.98), {}),
    (scored(Measure(0.48), token_table=0.8), {}),
    (scored(Measure(0.47), token_table=0.8), {Doubt.BELOW_TABLE: 0.8}),
    (scored(Measure(-0.1), token_table=0.0), {}),
    (scored(twin_share=0.05), {}),
    (scored(twin_share=0.051), {Doubt.NULL_TWIN: 0.051}),
    (scored(against_neighbours=Measure(0.6, (0.3, 0.8))), {}),
    (scored(against_neighbours=Measure(0.4, (0.2, 0.6))), {}),
    (scored(against_neighbours=Measure(0.25, (0.1, 0.5))), {Doubt.NEIGHBOURS: 0.25}),
    (scored(None, against_neighbours=Measure(0.25)), {Doubt.NEIGHBOURS: 0.25}),
    (scored(against_neighbours=Measure(0.4, (0.3, 0.6)), chance_against_neighbours=0.5), {Doubt.NEIGHBOURS: 0.4}),
    (scored(on_random=Measure(0.86, (0.0, 0.95))), {Doubt.NOT_ON_RANDOM: 0.86}),
    (scored(on_random=Measure(0.86, (0.2, 0.95))), {}),
    (scored(on_random=Measure(0.04)), {Doubt.NOT_ON_RANDOM: 0.04}),
    (scored(Measure(0.49), on_random=Measure(0.0)), {}),
    (scored(is_whole_corpus=True, on_random=Measure(0.04)), {}),
    (scored(precision=Measure(0.2)), {}),
    (scored(precision=Measure(0.19)), {Doubt.TOO_BROAD: 0.19}),
    (scored(None, precision=Measure(0.0)), {Doubt.TOO_BROAD: 0.0}),
    (scored(recall=Measure(0.2)), {}),
    (scored(recall=Measure(0.1)), {Doubt.TOO_NARROW: 0.1}),
    (scored(precision=Measure(0.1), recall=Measure(0.1)), {Doubt.TOO_BROAD: 0.1, Doubt.TOO_NARROW: 0.1}),
    (scored(repeated=(0.8, 0.61)), {}),
    (scored(repeated=(0.8, 0.6)), {Doubt.UNSTABLE: 0.2}),
    (scored(repeated=(0.4,)), {Doubt.UNSTABLE: 0.4}),
    (scored(n_valid=9, n_failed=1), {}),
    (scored(n_valid=8, n_failed=2), {Doubt.FAILED_SIMULATIONS: 0.2}),
    (scored(None, n_valid=0, n_failed=10), {Doubt.FAILED_SIMULATIONS: 1.0}),
    (scored(imported=0.71, score_2023=0.8), {}),
    (scored(imported=0.91, score_2023=0.8), {Doubt.IMPORT_DIFFERS: 0.11}),
    (scored(imported=0.5, score_2023=0.8), {Doubt.IMPORT_DIFFERS: -0.3}),
    # the headline may be of another kind, and is not what an imported score is compared with
    (scored(Measure(0.3), is_whole_corpus=True, imported=0.85, score_2023=0.8), {}),
    (scored(None, imported=0.5, score_2023=0.8), {Doubt.IMPORT_DIFFERS: -0.3}),
    (scored(imported=0.5), {}),
    (seen(document_share=0.45, first_token_share=0.45, copies_share=0.45, outside_share=0.2), {}),
    (seen(document_share=0.5), {Doubt.ONE_DOCUMENT: 0.5}),
    (seen(document_share=1.0, n_documents=9), {}),
    (seen(first_token_share=0.9), {Doubt.FIRST_POSITION: 0.9}),
    (seen(copies_share=0.75), {Doubt.COPIES: 0.75}),
    (seen(outside_share=0.25), {Doubt.SEVERAL_MEANINGS: 0.25}),
    (seen(first_token_share=1.0, document_share=1.0, n_top=3), {}),
    (Facts(text=TEXT, n_sharing=3), {Doubt.SHARED: 3}),
    (Facts(text="x" * LONGEST), {}),
    (Facts(text="x" * (LONGEST + 1)), {Doubt.TOO_LONG: LONGEST + 1}),
)


@pytest.mark.parametrize(("facts", "expected"), CASES)
def test_doubts_follow_from_facts(facts: Facts, expected: dict[Doubt, float]) -> None:
    assert of(facts) == expected


WORDS: tuple[tuple[str, set[Doubt]], ...] = (
    ("words about ships and harbours", set()),
    ('fires on "Let me" and "**" and "<<" and "excerpt 3"', set()),
    ("fires on `the user wants` and “# heading”", set()),
    ("the word 'so' before an adjective", set()),
    ("names of people - first and last", set()),
    ("numbers such as 1. and 2) in lists of 3 * 4", set()),
    ("<think>Okay, so the neuron</think> words about ships", {Doubt.REASONING}),
    ("Let me look at the tokens: ships", {Doubt.REASONING}),
    ("I think it is about ships", {Doubt.REASONING}),
    ("We need to find what is common: ships", {Doubt.REASONING}),
    ("The user wants an explanation. Ships.", {Doubt.REASONING}),
    ("I'll say ships", {Doubt.REASONING}),
    ("<|im_start|>assistant ships", {Doubt.REASONING}),
    ("**Ships** and harbours", {Doubt.MARKDOWN}),
    ("# Ships", {Doubt.MARKDOWN}),
    ("- ships\n- harbours", {Doubt.MARKDOWN}),
    ("1. ships\n2. harbours", {Doubt.MARKDOWN}),
    ("```ships```", {Doubt.MARKDOWN}),
    ("see [ships](http://ships)", {Doubt.MARKDOWN}),
    ("the highlighted tokens are ships", {Doubt.PROMPT_WORDS}),
    ("this neuron activates on ships", {Doubt.PROMPT_WORDS}),
    ("ships, as in excerpt 3", {Doubt.PROMPT_WORDS}),
    ("Explanation: ships", {Doubt.PROMPT_WORDS}),
    ("Explanation of neuron 4 behavior: ships", {Doubt.PROMPT_WORDS}),
    ("<<ships>>", {Doubt.PROMPT_WORDS}),
    ("</claim> ships", {Doubt.PROMPT_WORDS}),
    ("**Ships**: I think the given examples share them", {Doubt.REASONING, Doubt.MARKDOWN, Doubt.PROMPT_WORDS}),
)


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_doubts_about_words_leave_quotations_alone(text: str, expected: set[Doubt]) -> None:
    assert set(of(Facts(text=text))) == expected


def test_every_doubt_can_be_raised_and_is_described() -> None:
    raised = {d for _, expected in CASES for d in expected} | {d for _, expected in WORDS for d in expected}
    assert raised == set(Doubt) == set(ABOUT)
    assert all(about.label and about.sentence.endswith(".") for about in ABOUT.values())
    assert {doubt.figure_kind for doubt in Doubt} == set(FigureKind)


def record(tokens: list[int], activations: list[float], number: int = 0) -> ActivationRecord:
    return ActivationRecord(number, np.array(tokens, dtype=np.int32), np.array(activations, dtype=np.float32))


def test_evidence_is_counted_over_the_top_excerpts() -> None:
    top = [record([1, 5, 2], [0, 4, 0], i) for i in range(3)] + [record([9, 2, 3], [4, 0, 0], 3)]
    found = evidence_facts(top, [7, 7, 7, 8], n_documents=10, n_alike=5)
    assert found == EvidenceFacts(
        n_top=4, n_documents=10, document_share=0.75, first_token_share=0.25, copies_share=0.25, outside_share=0.0
    )


def test_groups_that_share_no_activating_token_are_several_meanings() -> None:
    imports = [record([1, 5, i], [0, 4, 0], i) for i in range(10, 16)]
    brackets = [record([1, 6, i], [0, 3, 0.1], i) for i in range(20, 24)]
    several = evidence_facts(imports + brackets, [None] * 10, n_documents=0, n_alike=None)
    assert (several.outside_share, several.document_share, several.copies_share) == (0.4, None, None)
    assert evidence_facts(imports, [None] * 6, n_documents=0, n_alike=None).outside_share == 0
    names = [record([1, 30 + i, 2], [0, 4, 0], i) for i in range(10)]
    assert evidence_facts(names, [None] * 10, n_documents=0, n_alike=None).outside_share == 0


def test_a_neuron_without_top_excerpts_has_no_evidence() -> None:
    assert evidence_facts([], [], n_documents=10, n_alike=0) == EvidenceFacts()
