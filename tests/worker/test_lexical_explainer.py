"""The sentence of a neuron whose rule is known, and what may and may not shape it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split, split_of
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from app.errors import MethodError, NoExplanation
from worker.explainers.lexical import LexicalExplainer, evidence_groups, nothing_found
from worker.lexical.evidence import evidence_of
from worker.lexical.grammar import Named, Quoted
from worker.lexical.matching import Block
from worker.lexical.parser import parse
from worker.lexical.proposals import fitting_classes
from worker.method.contracts import NeuronTask
from worker.method.pipeline import without_held_out

TOKENS = (
    b"\n", b" import", b"import", b" from", b" the", b" cat", b" sat", b"(", b")", b"[", b"]", b" =", b" 1", b" 23",
    b"4", b",", b" quot", b"ation", b"ed", b" Paris", b" London", b" of", b" in", b"#", b" x", b" y", b"=", b"\n   ",
)  # fmt: skip
VOCABULARY = Vocabulary("small", TOKENS)
LENGTH = 32

Rule = Callable[[Block], np.ndarray]


def told(text: str) -> Rule:
    """A neuron that behaves exactly as a sentence claims."""
    return lambda block: block.predict(parse(text))


def neuron(rule: Rule, *, noise: float = 0.0, seed: int = 0) -> NeuronTask:
    """A neuron that follows a rule on random text; the excerpts with its highest peaks are its top sample."""
    generator = np.random.default_rng(seed)
    excerpts = [generator.integers(0, len(TOKENS), LENGTH).astype(np.int32) for _ in range(300)]
    values = rule(Block(excerpts, VOCABULARY)).reshape(len(excerpts), LENGTH).astype(np.float32)
    values += generator.normal(0, noise, values.shape).astype(np.float32) if noise else 0
    records = [ActivationRecord(i + 1, ids, row) for i, (ids, row) in enumerate(zip(excerpts, values, strict=True))]
    top = sorted(records, key=lambda r: -float(r.activations.sum()))[:20]
    samples = {
        SampleKind.TOP: tuple(top),
        SampleKind.RANDOM: tuple(records[:20]),
        SampleKind.BAND_1: tuple(records[20:25]),
        SampleKind.HARD_NEGATIVE: tuple(records[25:33]),
    }
    return NeuronTask(1, "small", 0, 0, NeuronRecords(samples, float(values.max())), VOCABULARY, None, seed=0)


def explained(task: NeuronTask) -> str:
    (candidate,) = LexicalExplainer().explain(task)
    return candidate.text


@pytest.mark.parametrize(
    "text",
    [
        'fires strongly on " import"',
        'fires strongly on the token after " quot"',
        "fires strongly on closing brackets",
        'fires strongly on digits after " ="',
        'fires strongly on " cat" at the start of a line',
        'fires strongly on the rest of a line after "("',
        "fires strongly on any token in a comment",
        'fires strongly on " of", weakly on " in"',
        "fires strongly on any token late in the excerpt",
        "fires strongly on any token early in the excerpt",
    ],
)
def test_a_rule_that_the_grammar_can_say_is_said(text: str) -> None:
    clauses = parse(explained(neuron(told(text))))
    assert [(c.targets, c.conditions) for c in clauses] == [(c.targets, c.conditions) for c in parse(text)]


def test_noise_does_not_make_a_sentence_longer() -> None:
    (clause,) = parse(explained(neuron(told('strongly on " import"'), noise=0.7)))
    assert (clause.targets, clause.conditions) == ((Quoted(b" import"),), ())


def test_strengths_are_what_the_neuron_does_on_the_average() -> None:
    text = explained(neuron(told('on " of" (10), on " in" (4)')))
    assert {c.targets[0]: c.strength for c in parse(text)} == {
        Quoted(b" of"): 7,
        Quoted(b" in"): 3,
    }


def test_a_claim_that_random_text_refutes_is_not_made() -> None:
    """In the top excerpts " cat" fires everywhere; in random ones it does not."""
    task = neuron(told('strongly on " import"'))
    cat = TOKENS.index(b" cat")
    top = tuple(
        replace(r, activations=np.where(r.token_ids == cat, 5, r.activations).astype(np.float32))
        if split_of(SampleKind.TOP, rank) is Split.TRAIN
        else r
        for rank, r in enumerate(task.records.of(SampleKind.TOP))
    )
    samples = {**task.records.samples, SampleKind.TOP: top}
    assert explained(replace(task, records=replace(task.records, samples=samples))) == 'fires on " import"'


def test_held_out_records_do_not_shape_the_text() -> None:
    task = neuron(told('strongly on " import", weakly on digits'), noise=0.5)
    garbage = ActivationRecord(999, np.array([5, 6, 7], dtype=np.int32), np.array([50, 0, 99], dtype=np.float32))
    samples = {
        kind: tuple(
            garbage if split_of(kind, rank) in (Split.VALIDATION, Split.TEST) else record
            for rank, record in enumerate(task.records.of(kind))
        )
        for kind in task.records.samples
    }
    assert explained(replace(task, records=replace(task.records, samples=samples))) == explained(task)


def test_train_records_are_enough() -> None:
    task = neuron(told('strongly on " import"'))
    alone = replace(task, records=NeuronRecords({SampleKind.TOP: task.train[:1]}, task.records.maximum))
    assert '" import"' in explained(alone) or '"import"' in explained(alone)


def test_a_neuron_that_never_fires_is_refused() -> None:
    task = neuron(lambda block: np.full(block.n, -0.1))
    with pytest.raises(MethodError, match="does not fire"):
        LexicalExplainer().explain(task)


def test_of_a_neuron_that_fires_on_everything_alike_nothing_is_said() -> None:
    task = neuron(lambda block: np.full(block.n, 5.0))
    with pytest.raises(NoExplanation, match="No explanation found"):
        LexicalExplainer().explain(task)


def test_where_nothing_is_worth_saying_the_reach_of_the_token_table_is_named() -> None:
    task = without_held_out(neuron(told('strongly on " import"')))
    evidence = evidence_of(evidence_groups(task), task.records, VOCABULARY, unit=0.9)
    table = TokenTable.of_records(task.records.of(SampleKind.RANDOM))
    assert nothing_found(evidence, table, unit=0.9).endswith("The table of its tokens' means correlates 1.00.")
    assert nothing_found(evidence, None, unit=0.9).endswith("have not been counted over a corpus.")


def test_the_same_neuron_always_gets_the_same_text() -> None:
    task = neuron(told('on words after digits, weakly on " x"'), noise=1.0)
    assert explained(task) == explained(task)


def test_parts_of_a_word_are_quoted_together() -> None:
    rule = told('strongly on " quotation"')
    text = explained(neuron(rule))
    assert Quoted(b" quotation") in {t for clause in parse(text) for t in clause.targets}


def test_no_token_is_quoted_twice() -> None:
    rule = told('strongly on " import" after " =", weakly on " import", on digits after "("')
    targets = [t for clause in parse(explained(neuron(rule, noise=0.3))) for t in clause.targets]
    assert len(targets) == len(set(targets))


def test_the_claim_that_explains_most_stands_first() -> None:
    """ " of" fires less than " quotation", and a hundred times as often."""
    text = explained(neuron(told('strongly on " quotation", moderately on words')))
    assert Named("words") in parse(text)[0].targets


def test_a_class_is_named_only_where_its_name_fits_the_text() -> None:
    english = Vocabulary("english", (b" and", b" for", b" in", b" is", b" not", b" cat", b" sat", b"."))
    code = Vocabulary("code", (b" def", b" for", b" in", b" None", b" not", b" cat", b" sat", b"."))
    ids = [np.arange(8, dtype=np.int32)]
    assert Named("Python keywords") not in fitting_classes(Block(ids, english))
    assert Named("Python keywords") in fitting_classes(Block(ids, code))
