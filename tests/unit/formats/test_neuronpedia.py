"""Neuronpedia's format: read, written, and both against each other."""

import gzip
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.samples import SampleKind
from app.domain.tokens import TokenForm, token_bytes, token_form
from app.formats.files import File
from app.formats.neuronpedia.reader import NeuronpediaReader
from app.formats.neuronpedia.writer import neuronpedia_files
from app.formats.records import ActivationRecord, Explanation, NeuronRecord, SampleRecords, Statistics
from tests.unit.formats.neurons import NOWHERE, activation_records, maybe, numbers, said, texts
from tests.unit.formats.reading import Reading, joined, read_files
from tests.unit.formats.upstream import neuronpedia_rows

FEATURE = {"modelId": "gpt2-small", "layer": "5-res-jb", "index": "17", "maxActApprox": 12.5, "frac_nonzero": 0.01,
           "pos_str": ["Ġthe"], "pos_values": [1.5], "vector": [], "hookName": "blocks.5.hook_resid_pre"}  # fmt: skip
TOP = {"modelId": "gpt2-small", "layer": "5-res-jb", "index": "17", "id": "a1", "tokens": ["Ġa", "Ċ"],
       "values": [0, 12.5], "maxValue": 12.5, "binMin": -1, "binMax": 99, "binContains": -1,
       "dfaValues": None}  # fmt: skip
TEXT = {"modelId": "gpt2-small", "layer": "5-res-jb", "index": 17, "id": "e1", "authorId": "u1",
        "description": "articles", "typeName": "oai_token-act-pair", "explanationModelName": "gpt-4o-mini"}  # fmt: skip


def read(**folders: list[Any]) -> Reading:
    files = [
        File(
            f"v1/gpt2-small/5-res-jb/{folder.replace('_', '-')}/batch-0.jsonl",
            "\n".join(map(json.dumps, rows)).encode(),
        )
        for folder, rows in folders.items()
    ]
    return read_files(NeuronpediaReader(), files)


@st.composite
def neuronpedia_neurons(draw: st.DrawFn) -> NeuronRecord:
    """A neuron that the format holds completely."""
    rows = [
        ActivationRecord(row.tokens, row.activations, facts={"dataSource": draw(texts), "binMin": -1.0})
        for row in draw(st.lists(activation_records(), max_size=3))
    ]
    others = [
        ActivationRecord(row.tokens, row.activations, facts={"binMin": 0.5, "binMax": 2.0, "binContains": 0.25})
        for row in draw(st.lists(activation_records(), max_size=2))
    ]
    samples = [SampleRecords(SampleKind.TOP, rows), SampleRecords(SampleKind.OTHER, others)]
    explanations = [
        Explanation(text, author=f"{name} (kind)", method="kind", created_at=draw(st.none() | st.just("2024-02-03")),
                    facts={"explanationModelName": name, "notes": draw(texts)})
        for text, name in draw(st.lists(st.tuples(said, said), max_size=2))
    ]  # fmt: skip
    facts = {"pos_str": draw(st.lists(texts)), "pos_values": draw(st.lists(numbers)), "hookName": draw(texts)}
    return NeuronRecord(
        draw(st.integers(0, 40)),
        draw(st.integers(0, 99_999)),
        NOWHERE,
        model="gemma/2",
        source=None,
        statistics=Statistics(max=draw(maybe), firing_rate=draw(maybe)),
        samples=[sample for sample in samples if sample.records],
        explanations=explanations,
        facts=facts,
    )


def identity(explanation: Explanation) -> tuple[str | None, ...]:
    return explanation.text, explanation.author, explanation.method, explanation.created_at


@given(st.lists(neuronpedia_neurons(), max_size=4, unique_by=lambda n: (n.layer, n.index)))
@settings(max_examples=60)
def test_what_is_written_is_read_again_whole(neurons: list[NeuronRecord]) -> None:
    files = [
        File(file.name.removesuffix(".gz"), gzip.decompress(file.content))
        for file in neuronpedia_files(neurons, model_id="m", source_set="res")
    ]
    found = read_files(NeuronpediaReader(), files)
    assert not found.problems
    again = joined(found.records)
    assert again.keys() == {(n.layer, n.index) for n in neurons}
    for neuron in neurons:
        own = again[neuron.layer, neuron.index]
        assert (own.model, own.source) == ("gemma/2", f"{neuron.layer}-res")
        assert own.statistics == neuron.statistics
        assert own.facts == neuron.facts
        # Its explanations have no order: those with a date and those without stand in files of their own.
        assert Counter(map(identity, own.explanations)) == Counter(map(identity, neuron.explanations))
        assert all(
            any(
                identity(mine) == identity(theirs) and mine.facts.items() >= theirs.facts.items()
                for mine in own.explanations
            )
            for theirs in neuron.explanations
        )
        assert [(s.kind, [(list(r.tokens), list(r.activations)) for r in s.records]) for s in own.samples] == [
            (s.kind, [(list(r.tokens), list(r.activations)) for r in s.records]) for s in neuron.samples
        ]


@given(st.lists(neuronpedia_neurons(), max_size=3))
@settings(max_examples=40)
def test_what_is_written_is_what_its_database_takes(neurons: list[NeuronRecord]) -> None:
    for file in neuronpedia_files(neurons, model_id="m"):
        neuronpedia_rows(file.name, gzip.decompress(file.content))


def test_rows_of_three_files_are_put_together() -> None:
    other = {**TOP, "binMin": 3, "binMax": 6.5, "binContains": 0.25, "tokens": ["x"], "values": [4]}
    found = read(features=[FEATURE], activations=[TOP, other], explanations=[TEXT], explanations_gpt=[
        {**TEXT, "id": "e2", "description": "other"}])  # fmt: skip
    assert not found.problems
    record = joined(found.records)[5, 17]
    assert (record.model, record.source) == ("gpt2-small", "5-res-jb")
    assert record.statistics.known == {"max": 12.5, "firing_rate": 0.01}
    assert [(s.kind, len(s.records)) for s in record.samples] == [(SampleKind.TOP, 1), (SampleKind.OTHER, 1)]
    assert [(e.text, e.author) for e in record.explanations] == [
        ("articles", "gpt-4o-mini (oai_token-act-pair)"), ("other", "gpt-4o-mini (oai_token-act-pair)"),
    ]  # fmt: skip
    assert record.facts["hookName"] == "blocks.5.hook_resid_pre"


def test_a_record_of_activations_ends_on_its_last_line() -> None:
    rows = [TOP, {**TOP, "id": "a2"}, {**TOP, "index": 18}]
    found = read(activations=rows)
    assert [(r.index, r.origin.line) for r in found.records] == [(17, 2), (18, 3)]


def test_raw_mlp_neurons_have_a_number_as_their_layer() -> None:
    (record,) = read(features=[{**FEATURE, "layer": 7, "index": "3"}]).records
    assert (record.layer, record.index, record.source) == (7, 3, "7")


@pytest.mark.parametrize(
    ("folder", "change", "reason"),
    [
        ("features", {"index": "x"}, "index: 'x' is not a whole number"),
        ("features", {"index": None}, "index: it does not say which neuron"),
        ("features", {"layer": "res-jb"}, "layer: 'res-jb' does not begin with the number of a layer"),
        ("features", {"index": -1}, "index: an index is a number from 0"),
        ("activations", {"values": [1]}, "activations: it has 2 tokens and 1 activations"),
        ("activations", {"values": [1, None]}, "values[1]: Expected `float`, got `null`"),
        ("explanations", {"description": " "}, "explanation: the explanation is empty"),
        ("explanations", {"description": None}, "explanation: the explanation is empty"),
    ],
)
def test_a_bad_row_is_refused_and_the_next_is_read(folder: str, change: dict[str, Any], reason: str) -> None:
    row = {"features": FEATURE, "activations": TOP, "explanations": TEXT}[folder]
    found = read(**{folder: [{**row, **change}, row]})
    assert len(found.records) == 1
    (problem,) = found.problems
    assert (problem.line, problem.file) == (1, f"v1/gpt2-small/5-res-jb/{folder}/batch-0.jsonl")
    assert reason in str(problem)


def test_a_feature_without_activations_is_a_neuron() -> None:
    dead = {**FEATURE, "maxActApprox": 0, "frac_nonzero": 0, "pos_str": None}
    (record,) = read(features=[dead]).records
    assert record.statistics.known == {"max": 0.0, "firing_rate": 0.0}


@pytest.mark.parametrize(
    ("tokens", "form", "expected"),
    [
        (["Ġthe", "Ċ", "âĤ", "¬", "<|endoftext|>"], TokenForm.BYTE_LEVEL,
         [b" the", b"\n", b"\xe2\x82", b"\xac", b"<|endoftext|>"]),
        (["▁the", "<0x0A>", "s"], TokenForm.SENTENCEPIECE, [b" the", b"\n", b"s"]),
        ([" the", "\n", "\ufffd", "Ġ"], TokenForm.TEXT, [b" the", b"\n", b"\xef\xbf\xbd", b"\xc4\xa0"]),
        (["a\ud800", "\x00"], TokenForm.TEXT, [b"a\xef\xbf\xbd", b"\x00"]),
    ],
)  # fmt: skip
def test_raw_tokens_become_bytes(tokens: list[str], form: TokenForm, expected: list[bytes]) -> None:
    assert token_form(tokens) is form
    assert [token_bytes(token, form) for token in tokens] == expected
