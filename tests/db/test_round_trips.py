"""Round trips: what a file holds comes out of a database that it was imported into."""

import gzip
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.db import Sessions, transaction
from app.domain.authors import AuthorKind
from app.domain.flags import FlagReason
from app.domain.imports import DataFormat
from app.domain.samples import SampleKind
from app.domain.splits import Split
from app.formats.neuronpedia.reader import NeuronpediaReader
from app.formats.own.jsonl import JsonlReader, jsonl_lines
from app.formats.own.parquet import ParquetReader
from app.formats.records import (
    ActivationRecord,
    ActivationUnit,
    NeuronRecord,
    Origin,
    SampleRecords,
    Score,
    ScoredSimulation,
    Simulation,
    Statistics,
)
from app.formats.records import Explanation as FileExplanation
from app.models import Document, Explanation
from app.models import Score as StoredScore
from app.models import Simulation as StoredSimulation
from app.queries.imports.judgements import imported_judgements
from app.queries.review.flags import open_flag
from tests.db.transferring import bring, take
from tests.factories import Make, WholeCorpus
from tests.unit.formats.reading import read_path
from tests.unit.formats.upstream import neuronpedia_rows


def as_json(record: NeuronRecord) -> dict[str, Any]:
    (line,) = jsonl_lines([record])
    found: dict[str, Any] = json.loads(line)["record"]
    return found


def full_record() -> NeuronRecord:
    """A neuron with every fact that a file of another site can hold; two documents have one name."""
    texts = [[" a", "b"], [" c", "d"], [" e", "f"]]
    rows = [ActivationRecord(t, [0.0, 3.0 - i], None, "book.txt", 0, 1.0, {"bin": i}) for i, t in enumerate(texts)]
    levels = Simulation(texts[2], [0.0, 5.0], ActivationUnit.LEVELS)
    return NeuronRecord(
        3,
        1,
        Origin(""),
        model="gpt2-small",
        source="3-res-jb",
        statistics=Statistics(mean=0.25, max=3.0),
        samples=[SampleRecords(SampleKind.TOP, rows[:2]), SampleRecords(SampleKind.RANDOM, rows[2:])],
        explanations=[
            FileExplanation(
                "cats",
                author="lexical v1",
                author_kind=AuthorKind.METHOD,
                method="lexical v1",
                rank=0,
                created_at="2025-05-05T00:00:00+00:00",
                scores=[
                    Score("whole_corpus", "corpus", 0.5, interval=(0.4, 0.6), n_valid=9, n_failed=0,
                          method="lexical v1", created_at="2025-05-06T00:00:00+00:00"),
                ],
                simulations=[
                    ScoredSimulation(levels, rows[2].activations, {}, SampleKind.RANDOM, Split.TEST, "lexical"),
                ],
                provenance={"method": {"name": "lexical"}, "created_at": "a word", "shown": {"top": [7]}},
                facts={"umap_x": 1.5},
            ),
            FileExplanation("dogs", author="delphi", author_kind=AuthorKind.IMPORT, rank=0),
        ],
        failures=["the explainer found nothing"],
        facts={"quantile_boundaries": [0.5, None]},
    )  # fmt: skip


@pytest.mark.parametrize("format", [DataFormat.JSONL, DataFormat.PARQUET])
def test_all_that_a_file_of_another_site_holds_comes_out_again(
    fresh_sessions: Sessions, tmp_path: Path, format: DataFormat
) -> None:
    (tmp_path / "theirs.jsonl").write_bytes(b"".join(jsonl_lines([full_record()])))
    bring(fresh_sessions, tmp_path / "theirs.jsonl", "first")
    reader = JsonlReader() if format is DataFormat.JSONL else ParquetReader()
    (found,) = read_path(reader, take(fresh_sessions, "first", format, tmp_path / f"ours.{format}")).records
    wanted = full_record()
    # The second text of the document of this name stands in another one: which is not known.
    (top, random), (kept, other) = wanted.samples, wanted.samples[0].records
    top = replace(top, records=[kept, replace(other, document=None, position=None)])
    random = replace(random, records=[replace(random.records[0], document=None, position=None)])
    assert as_json(found) == as_json(replace(wanted, samples=[top, random]))


def with_ids(record: NeuronRecord, *token_ids: list[int] | None) -> NeuronRecord:
    """The record with these ids of its first excerpts' tokens."""
    (top, *rest) = record.samples
    rows = [replace(row, token_ids=ids) for row, ids in zip(top.records, token_ids, strict=True)]
    return replace(record, samples=[replace(top, records=rows), *rest])


def brought_and_taken(sessions: Sessions, folder: Path, record: NeuronRecord) -> list[list[int] | None]:
    """The token ids of the top excerpts after an import into a subject and an export of it."""
    (folder / "theirs.jsonl").write_bytes(b"".join(jsonl_lines([record])))
    bring(sessions, folder / "theirs.jsonl", "first")
    (found,) = read_path(JsonlReader(), take(sessions, "first", DataFormat.JSONL, folder / "ours.jsonl")).records
    top = next(sample for sample in found.samples if sample.kind is SampleKind.TOP)
    return [None if row.token_ids is None else list(row.token_ids) for row in top.records]


def test_token_ids_of_the_model_are_kept_where_a_file_says_them(fresh_sessions: Sessions, tmp_path: Path) -> None:
    both = with_ids(full_record(), [50_256, 7], [9, 7])
    assert brought_and_taken(fresh_sessions, tmp_path, both) == [[50_256, 7], [9, 7]]
    assert brought_and_taken(fresh_sessions, tmp_path, both) == [[50_256, 7], [9, 7]], "nothing is doubled"
    assert brought_and_taken(fresh_sessions, tmp_path, full_record()) == [[50_256, 7], [9, 7]]


def test_token_ids_that_come_later_are_added_to_the_same_excerpts(fresh_sessions: Sessions, tmp_path: Path) -> None:
    assert brought_and_taken(fresh_sessions, tmp_path, full_record()) == [None, None]
    assert brought_and_taken(fresh_sessions, tmp_path, with_ids(full_record(), [3, 4], None)) == [[3, 4], None]


def test_tokens_of_the_same_bytes_keep_ids_of_their_own(fresh_sessions: Sessions, tmp_path: Path) -> None:
    record = full_record()
    rows = [ActivationRecord(["a", "a"], [1.0, 2.0], [5, 6]), ActivationRecord(["a", "b"], [1.0, 0.5], [6, 5])]
    same = replace(record, samples=[SampleRecords(SampleKind.TOP, rows)], explanations=[])
    assert brought_and_taken(fresh_sessions, tmp_path, same) == [[5, 6], [6, 5]]


def neuronpedia_folder(folder: Path) -> Path:
    """Two rows of activations, in the top group and in another, and a text: as Neuronpedia's export has them."""
    address = {"modelId": "gpt2-small", "layer": "6-res-jb", "index": "4"}
    top = {"binMin": -1, "binMax": 99, "binContains": -1, "dataIndex": 12, "dfaValues": [0.5, 0.25]}
    other = {"binMin": 0.5, "binMax": 1.5, "binContains": 0.2, "dataSource": "openwebtext"}
    rows: dict[str, list[dict[str, Any]]] = {
        "features": [{**address, "maxActApprox": "9", "frac_nonzero": 0.5, "umap_cluster": 3.0}],
        "activations": [
            {**address, "id": "a", "tokens": [" a", "b"], "values": [0, 9], **top},
            {**address, "id": "b", "tokens": [" c", "d"], "values": [0, 1], **other},
        ],
        "explanations": [{**address, "id": "e", "description": "cats"}],
    }
    for kind, lines in rows.items():
        path = folder / "v1/gpt2-small/6-res-jb" / kind / "batch-0.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_neuronpedia_gets_back_its_source_its_model_and_its_groups(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, neuronpedia_folder(tmp_path / "data"), "first")
    out = take(fresh_sessions, "first", DataFormat.NEURONPEDIA, tmp_path / "out")
    before, after = (read_path(NeuronpediaReader(), path).records for path in (tmp_path / "data", out))
    known = {(r.model, r.source, r.layer, r.index) for r in (*before, *after)}
    assert known == {("gpt2-small", "6-res-jb", 6, 4)}

    def groups(records: Iterable[NeuronRecord]) -> list[tuple[str, list[str], dict[str, Any]]]:
        samples = [sample for record in records for sample in record.samples]
        left_out = ("creatorId", "maxValue", "maxValueTokenIndex", "minValue")
        return [
            (s.kind, list(r.tokens), {name: v for name, v in r.facts.items() if name not in left_out})
            for s in samples
            for r in s.records
        ]

    assert groups(after) == groups(before)
    for path in out.rglob("*.jsonl.gz"):
        assert neuronpedia_rows(path.as_posix(), gzip.decompress(path.read_bytes()))
    assert [kind for kind, _, _ in groups(after)] == [SampleKind.TOP, SampleKind.OTHER]


def test_excerpts_of_a_group_that_is_not_known_stay_out_of_the_top_group(
    fresh_sessions: Sessions, tmp_path: Path
) -> None:
    record = NeuronRecord(
        0, 0, Origin(""), samples=[SampleRecords(SampleKind.OTHER, [ActivationRecord(["a", "b"], [0.0, 1.0])])]
    )
    (tmp_path / "x.jsonl").write_bytes(b"".join(jsonl_lines([record])))
    bring(fresh_sessions, tmp_path / "x.jsonl", "first")
    out = take(fresh_sessions, "first", DataFormat.NEURONPEDIA, tmp_path / "out")
    samples = [sample for found in read_path(NeuronpediaReader(), out).records for sample in found.samples]
    assert [sample.kind for sample in samples] == [SampleKind.OTHER]


THEIRS = {"reason": "wrong", "note": "", "by": "zoë", "created_at": "2026-01-02T03:04:05+00:00", "outcome": None}


def test_what_was_made_here_is_not_stored_again_when_it_comes_back(fresh_sessions: Sessions, tmp_path: Path) -> None:
    with transaction(fresh_sessions) as session:
        make = Make(session)
        subject = make.subject()
        neuron = make.neuron(subject)
        make.sample(neuron, subject, SampleKind.TOP)
        explanation_id = make.explained(neuron, method=make.method(), whole=WholeCorpus(0.3))
        alice = make.account("alice")
        open_flag(session, explanation_id=explanation_id, account_id=alice.id, reason=FlagReason.WRONG, note="no")
    path = take(fresh_sessions, "tiny", DataFormat.JSONL, tmp_path / "x.jsonl")
    line = json.loads(path.read_text())
    line["record"]["explanations"][0]["flags"].append(THEIRS)
    path.write_text(json.dumps(line))
    stored = (Explanation, StoredScore, StoredSimulation)
    with fresh_sessions() as session:
        before = [session.scalar(select(func.count()).select_from(table)) for table in stored]
    bring(fresh_sessions, path, "tiny")
    with fresh_sessions() as session:
        after = [session.scalar(select(func.count()).select_from(table)) for table in stored]
        judged = imported_judgements(session, explanation_ids=[explanation_id])[explanation_id]
    assert after == before
    assert [flag.by for flag in judged.flags] == ["zoë"]


def test_documents_of_one_name_are_told_apart(fresh_sessions: Sessions, tmp_path: Path) -> None:
    with transaction(fresh_sessions) as session:
        make = Make(session)
        subject = make.subject()
        make.sample(make.neuron(subject), subject, SampleKind.TOP)
        session.execute(update(Document).values(name="book.txt"))
        n_documents = session.scalar(select(func.count()).select_from(Document))
    first = take(fresh_sessions, "tiny", DataFormat.JSONL, tmp_path / "first.jsonl")
    bring(fresh_sessions, first, "second")
    second = take(fresh_sessions, "second", DataFormat.JSONL, tmp_path / "second.jsonl")
    before, after = (
        [r for s in read_path(JsonlReader(), p).records[0].samples for r in s.records] for p in (first, second)
    )
    assert len({record.document for record in before}) == n_documents
    assert before == after
