"""Our own formats lose nothing: whatever is known of a neuron is read again as it was written."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.authors import AuthorKind
from app.domain.samples import SampleKind
from app.domain.splits import Split
from app.formats.files import File
from app.formats.own.jsonl import JsonlReader, jsonl_lines
from app.formats.own.parquet import ParquetReader, write_parquet
from app.formats.problems import ReadingProblem
from app.formats.records import ActivationRecord, Explanation, Flag, NeuronRecord, Score, Statistics, Verdict
from app.formats.sources.opening import local_source
from tests.openai_files import activation_record
from tests.unit.formats.neurons import NOWHERE, maybe, numbers, openai_neurons, texts
from tests.unit.formats.reading import read_files, read_path

dates = st.just("2026-02-03T04:05:06.789000+00:00")
facts = st.dictionaries(texts, st.none() | texts | numbers | st.lists(st.integers(-5, 5)), max_size=2)
scores = st.builds(
    Score, scorer=texts, sample=texts, value=maybe, undefined_reason=st.none() | texts,
    interval=st.none() | st.tuples(numbers, numbers), n_valid=st.none() | st.integers(0, 9), chance=maybe,
    shuffled_baseline=maybe, simulator=st.none() | texts, method=st.none() | texts, created_at=st.none() | dates,
)  # fmt: skip


@st.composite
def known_neurons(draw: st.DrawFn) -> NeuronRecord:
    """A neuron of which everything may be known."""
    bare = draw(openai_neurons())
    flags = st.builds(Flag, reason=texts, note=texts, by=texts, created_at=dates, outcome=st.none() | texts)
    verdicts = st.builds(
        Verdict, campaign=texts, reviewer=texts, verdict=texts, kind=st.none() | texts, confidence=st.none() | texts,
        note=texts, created_at=dates,
    )  # fmt: skip

    def full(found: Explanation) -> Explanation:
        rows = [replace(row, split=draw(st.none() | st.sampled_from(Split)), failure=draw(st.none() | texts))
                for row in found.simulations]  # fmt: skip
        return replace(
            found, author=draw(st.none() | texts), author_kind=draw(st.none() | st.sampled_from(AuthorKind)),
            rank=draw(st.none() | st.integers(0, 3)), created_at=draw(dates), simulations=rows,
            scores=draw(st.lists(scores, max_size=2)), flags=draw(st.lists(flags, max_size=1)),
            verdicts=draw(st.lists(verdicts, max_size=1)), provenance=draw(facts), facts=draw(facts),
        )  # fmt: skip

    def placed(kind: SampleKind) -> list[ActivationRecord]:
        return [
            replace(row, token_ids=draw(st.none() | st.just([7] * len(row.tokens))), document=draw(st.none() | texts),
                    position=draw(st.none() | st.integers(0, 9)), probability=draw(maybe), facts=draw(facts))
            for sample in bare.samples if sample.kind is kind for row in sample.records
        ]  # fmt: skip

    return replace(
        bare,
        model=draw(st.none() | texts),
        source=draw(st.none() | texts),
        statistics=replace(bare.statistics, peak_quantiles=draw(st.none() | st.lists(numbers)),
                           histogram_counts=draw(st.none() | st.lists(st.integers(0, 99)))),
        samples=[replace(sample, records=placed(sample.kind)) for sample in bare.samples],
        explanations=[full(found) for found in bare.explanations],
        loose_scores=draw(st.lists(scores, max_size=1)),
        failures=draw(st.lists(texts, max_size=2)),
        facts=draw(facts),
    )  # fmt: skip


def plain(record: NeuronRecord) -> NeuronRecord:
    """The record with lists for tuples, and without where it stood: so that equal contents are equal."""
    (line,) = jsonl_lines([record])
    return read_files(JsonlReader(), [File("x.jsonl", line)]).records[0]


@given(known_neurons())
@settings(max_examples=60)
def test_json_lines_lose_nothing(neuron: NeuronRecord) -> None:
    found = read_files(JsonlReader(), [File("x.jsonl", b"".join(jsonl_lines([neuron])))])
    assert not found.problems
    (again,) = found.records
    assert list(jsonl_lines([again])) == list(jsonl_lines([neuron]))
    assert (again.layer, again.statistics.mean) == (neuron.layer, neuron.statistics.mean)
    assert [e.text for e in again.explanations] == [e.text for e in neuron.explanations]


@given(st.lists(known_neurons(), max_size=3))
@settings(max_examples=15)
def test_parquet_loses_nothing(neurons: list[NeuronRecord]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "neurons.parquet"
        assert write_parquet(neurons, path) == len(neurons)
        found = read_path(ParquetReader(), path)
    assert not found.problems
    assert list(jsonl_lines(found.records)) == list(jsonl_lines(neurons))


NEURON = {"layer": 0, "index": 1, "origin": {"file": ""}}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"format": "neuron-audit/9", "record": NEURON}, "format: the format 'neuron-audit/9' is not 'neuron-audit/1'"),
        ({"format": "neuron-audit/1"}, "Object missing required field `record`"),
        ({"format": "neuron-audit/1", "record": {**NEURON, "layer": -1}}, "layer: a layer is a number from 0"),
        ({"format": "neuron-audit/1", "record": {**NEURON, "samples": [{"kind": "best", "records": []}]}},
         "record.samples[0].kind: Invalid enum value 'best'"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_refused_and_the_next_is_read(line: object, reason: str) -> None:
    good = {"format": "neuron-audit/1", "record": NEURON}
    found = read_files(JsonlReader(), [File("x.jsonl", f"{json.dumps(line)}\n{json.dumps(good)}".encode())])
    assert [record.origin.line for record in found.records] == [2]
    assert found.reasons[0].startswith(f"x.jsonl:1: {reason}")


def test_malformed_parts_of_a_line_do_not_cost_the_others() -> None:
    row = activation_record(1, peak=1)
    bad: list[dict[str, Any]] = [{"activations": [1.0]}, {"token_ids": [1]}, {"token_ids": [-1] * len(row["tokens"])}]
    record = {**NEURON, "samples": [{"kind": "top", "records": [row, *({**row, **each} for each in bad)]}],
              "explanations": [{"text": ""}, {"text": "good"}]}  # fmt: skip
    content = json.dumps({"format": "neuron-audit/1", "record": record}).encode()
    found = read_files(JsonlReader(), [File("x.jsonl", content)])
    assert [len(s.records) for s in found.records[0].samples] == [1]
    assert [e.text for e in found.records[0].explanations] == ["good"]
    assert [p.field for p in found.problems] == [
        "record.samples[0].records[1].activations", "record.samples[0].records[2].token_ids",
        "record.samples[0].records[3].token_ids", "record.explanations[0].text",
    ]  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 199, 200, 250, 400, 450])
def test_parquet_goes_on_behind_any_row(tmp_path: Path, after: int) -> None:
    path = tmp_path / "neurons.parquet"
    write_parquet([NeuronRecord(0, index, NOWHERE) for index in range(450)], path)
    problems: list[ReadingProblem] = []
    ((_, entry),) = local_source(path).entries(problems.append)
    found = list(ParquetReader().records(entry, problems.append, after=after))
    assert not problems
    assert [(record.index, record.origin.line) for record in found] == [(n, n + 1) for n in range(after, 450)]


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    found = read_path(ParquetReader(), tmp_path / "x.parquet")
    assert found.reasons[0].startswith("x.parquet: it is no Parquet file that can be read")


def test_known_statistics_are_those_that_are_not_none() -> None:
    assert Statistics(mean=0.0, max=None).known == {"mean": 0.0}
    assert NeuronRecord(0, 0, NOWHERE).statistics.known == {}
