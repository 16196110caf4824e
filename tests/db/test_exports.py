"""Exports: what the database knows comes out, and comes in again the same."""

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
from app.domain.imports import RECOMPUTED, DataFormat
from app.domain.samples import SampleKind
from app.domain.splits import Split
from app.errors import Invalid, NotFound
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
from app.formats.sources.opening import local_source
from app.models import Account, Document, Explanation, Flag, Neuron, ReviewItem, ReviewVerdict
from app.queries.imports.judgements import imported_judgements
from app.queries.review.flags import open_flag
from app.transfer.exporting import ExportRequest, run_export
from app.transfer.importing import ImportRequest, run_import
from tests.factories import Make, WholeCorpus
from tests.openai_files import neuron_record, simulation_results, write_data_set
from tests.unit.formats.reading import read_path
from tests.unit.formats.upstream import neuronpedia_rows, openai_explanations, openai_object

ALL = (DataFormat.JSONL, DataFormat.PARQUET, DataFormat.OPENAI, DataFormat.NEURONPEDIA)


def bring(sessions: Sessions, path: Path, slug: str, **values: Any) -> None:
    run_import(sessions, local_source(path), ImportRequest(slug, **values), tell=lambda _: None)


def take(sessions: Sessions, slug: str, format: DataFormat, target: Path) -> Path:
    run_export(sessions, ExportRequest(slug, format), target, tell=lambda _: None)
    return target


def stripped(record: NeuronRecord) -> NeuronRecord:
    """The record without the one score that an import computes anew."""
    explanations = [replace(e, scores=[s for s in e.scores if s.scorer != RECOMPUTED]) for e in record.explanations]
    return replace(record, explanations=explanations)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("gpt2", "gpt2"),
        ("openai-community/gpt2-xl", "openai-community/gpt2-xl"),
        ("/home/alice/models/gpt2", "first"),
        ("../models/gpt2", "first"),
        ("C:\\models\\gpt2", "first"),
        ("https://example.org/data", "first"),
    ],
)
def test_no_file_names_a_folder_of_this_machine_as_the_model(
    fresh_sessions: Sessions, tmp_path: Path, source: str, named: str
) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1, neurons=1), "first", model=source)
    for format, reader in ((DataFormat.JSONL, JsonlReader()), (DataFormat.NEURONPEDIA, NeuronpediaReader())):
        found = read_path(reader, take(fresh_sessions, "first", format, tmp_path / f"out.{format}"))
        assert {record.model for record in found.records} == {named}


@pytest.mark.parametrize("format", [DataFormat.JSONL, DataFormat.PARQUET])
def test_our_own_formats_take_everything_from_one_database_to_another(
    fresh_sessions: Sessions, tmp_path: Path, format: DataFormat
) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data"), "first")
    reader = JsonlReader() if format is DataFormat.JSONL else ParquetReader()
    first = take(fresh_sessions, "first", format, tmp_path / f"first.{format}")
    bring(fresh_sessions, first, "second")
    second = take(fresh_sessions, "second", format, tmp_path / f"second.{format}")
    before, after = (read_path(reader, path) for path in (first, second))
    assert (len(before.records), before.problems, after.problems) == (6, [], [])
    for one, other in zip(before.records, after.records, strict=True):
        assert stripped(replace(other, origin=one.origin)) == stripped(one)


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
    assert [replace(record, token_ids=None) for record in before] == after


def test_openai_s_format_takes_everything_that_it_can_hold(fresh_sessions: Sessions, tmp_path: Path) -> None:
    folder = write_data_set(tmp_path / "data")
    bring(fresh_sessions, folder, "first")
    out = take(fresh_sessions, "first", DataFormat.OPENAI, tmp_path / "out")
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.json*"))
    assert files == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json*"))
    found = openai_object((out / "collated-activations/1/2.json").read_bytes(), "NeuronRecord")
    wanted = neuron_record(1, 2)
    for name in ("mean", "variance", "skewness", "kurtosis", "quantile_boundaries"):
        assert found[name] == wanted[name]
    for name in ("most_positive_activation_records", "random_sample"):
        assert [(r["tokens"], r["activations"]) for r in found[name]] == [
            (r["tokens"], r["activations"]) for r in wanted[name]
        ]
    results = openai_explanations((out / "explanations/1/2.jsonl").read_bytes())
    (explanation,) = results["scored_explanations"]
    scored = explanation["scored_simulation"]
    expected = simulation_results(1, 2)["scored_explanations"][0]["scored_simulation"]
    assert explanation["explanation"] == "words about importing 1/2"
    for name in ("ev_correlation_score", "rsquared_score", "absolute_dev_explained_score"):
        assert scored[name] == pytest.approx(expected[name])
    for mine, theirs in zip(
        scored["scored_sequence_simulations"], expected["scored_sequence_simulations"], strict=True
    ):
        assert mine["true_activations"] == theirs["true_activations"]
        assert mine["simulation"]["tokens"] == theirs["simulation"]["tokens"]
        assert mine["simulation"]["activation_scale"] == "neuron_activations"
        values = mine["simulation"]["expected_activations"]
        assert values == pytest.approx(theirs["simulation"]["expected_activations"], abs=2e-3)
        inner = mine["simulation"]["uncalibrated_simulation"]
        assert inner["expected_activations"] == theirs["simulation"]["uncalibrated_simulation"]["expected_activations"]


@pytest.mark.parametrize("format", ALL)
def test_every_format_is_written_and_taken_by_its_readers(
    fresh_sessions: Sessions, tmp_path: Path, format: DataFormat
) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1), "first")
    name = {DataFormat.JSONL: "x.jsonl.gz", DataFormat.PARQUET: "x.parquet"}.get(format, "x.tar.gz")
    path = take(fresh_sessions, "first", format, tmp_path / name)
    bring(fresh_sessions, path, "second", format=format)
    with fresh_sessions() as session:
        texts = [e.text for e in session.query(Explanation).order_by(Explanation.id)]
    assert sorted(texts) == sorted(texts[:3] * 2)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_neuronpedia_s_database_takes_what_is_written(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1), "first")
    out = take(fresh_sessions, "first", DataFormat.NEURONPEDIA, tmp_path / "out")
    kinds = {}
    for path in out.rglob("*.jsonl.gz"):
        rows = neuronpedia_rows(path.as_posix(), gzip.decompress(path.read_bytes()))
        kinds[path.parent.name] = len(rows)
    assert kinds == {"features": 3, "activations": 3 * 40, "explanations": 3}  # random excerpts have no group there


def test_what_people_and_methods_have_done_is_in_our_own_format(fresh_sessions: Sessions, tmp_path: Path) -> None:
    with transaction(fresh_sessions) as session:
        make = Make(session)
        subject = make.subject()
        neuron = make.neuron(subject)
        make.sample(neuron, subject, SampleKind.TOP)
        explanation_id = make.explained(neuron, interval=(0.4, 0.6), method=make.method(), whole=WholeCorpus(0.3))
        account = make.account("alice")
        open_flag(session, explanation_id=explanation_id, account_id=account.id, reason=FlagReason.WRONG, note="no")
    path = take(fresh_sessions, "tiny", DataFormat.JSONL, tmp_path / "x.jsonl")
    (line,) = path.read_text().splitlines()
    record = json.loads(line)["record"]
    (explanation,) = record["explanations"]
    assert (explanation["author_kind"], explanation["method"]) == (AuthorKind.METHOD, "lexical v1")
    assert [(flag["reason"], flag["note"], flag["by"]) for flag in explanation["flags"]] == [("wrong", "no", "alice")]
    scores = {score["scorer"]: score for score in explanation["scores"]}
    assert scores["correlation"]["interval"] == [0.4, 0.6]
    assert "whole_corpus_precision" in scores
    assert record["statistics"]["peak_quantiles"] == pytest.approx([0.5, 1.0, 2.0, 3.0, 3.9])


FLAG: dict[str, object] = {
    "reason": "wrong",
    "note": "no\0",
    "by": "zoë",
    "created_at": "2026-01-02T03:04:05+00:00",
    "outcome": None,
}
VERDICT: dict[str, object] = {
    "campaign": "March", "reviewer": "yan", "verdict": "holds", "kind": None, "confidence": "sure", "note": "x" * 5000,
    "created_at": "2026-01-03T03:04:05+00:00",
}  # fmt: skip


def judged_file(path: Path, **judged: list[dict[str, object]]) -> Path:
    """A file of one neuron whose explanation other people have judged."""
    explanation = {"text": "cats", "created_at": "2025-05-05T00:00:00+00:00", "method": "theirs v2", **judged}
    record = {"layer": 0, "index": 0, "origin": {"file": ""}, "explanations": [explanation]}
    path.write_text(json.dumps({"format": "neuron-audit/1", "record": record}))
    return path


def test_judgements_from_elsewhere_are_kept_and_never_counted(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, judged_file(tmp_path / "x.jsonl", flags=[FLAG], verdicts=[VERDICT]), "first")
    with fresh_sessions() as session:
        (explanation,) = session.query(Explanation)
        found = imported_judgements(session, explanation_ids=[explanation.id])[explanation.id]
        assert [(flag.by, flag.reason, flag.is_imported) for flag in found.flags] == [("zoë", "wrong", True)]
        assert [(verdict.reviewer, verdict.verdict, len(verdict.note)) for verdict in found.verdicts] == [
            ("yan", "holds", 5000)
        ]
        assert explanation.provenance.keys() == {"created_at", "method"}
        assert session.query(Account).count() == 0
        assert session.query(Neuron).one().n_open_flags == 0
        for table in (Flag, ReviewVerdict, ReviewItem):
            assert session.query(table).count() == 0


def test_importing_judgements_again_adds_only_what_is_new(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, judged_file(tmp_path / "x.jsonl", flags=[FLAG]), "first")
    newer = {**FLAG, "outcome": "upheld"}
    bring(fresh_sessions, judged_file(tmp_path / "y.jsonl", flags=[FLAG, newer], verdicts=[VERDICT]), "first")
    with fresh_sessions() as session:
        (found,) = imported_judgements(session, explanation_ids=session.scalars(select(Explanation.id)).all()).values()
    assert [flag.outcome for flag in found.flags] == [None, "upheld"]
    assert len(found.verdicts) == 1


@pytest.mark.parametrize("data_format", [DataFormat.JSONL, DataFormat.PARQUET])
def test_a_round_trip_over_two_sites_loses_no_judgement(
    fresh_sessions: Sessions, tmp_path: Path, data_format: DataFormat
) -> None:
    reader = JsonlReader() if data_format is DataFormat.JSONL else ParquetReader()
    bring(fresh_sessions, judged_file(tmp_path / "x.jsonl", flags=[FLAG], verdicts=[VERDICT]), "first")
    with transaction(fresh_sessions) as session:
        account, explanation = Make(session).account("alice"), session.query(Explanation).one()
        open_flag(session, explanation_id=explanation.id, account_id=account.id, reason=FlagReason.WRONG, note="own")
    first = take(fresh_sessions, "first", data_format, tmp_path / f"first.{data_format}")
    bring(fresh_sessions, first, "second")
    second = take(fresh_sessions, "second", data_format, tmp_path / f"second.{data_format}")
    ((before,), (after,)) = (read_path(reader, path).records[0].explanations for path in (first, second))
    assert [(flag.by, flag.is_imported) for flag in before.flags] == [("alice", False), ("zoë", True)]
    assert list(after.flags) == [replace(flag, is_imported=True) for flag in before.flags]
    assert list(after.verdicts) == list(before.verdicts)
    assert (after.created_at, after.method, after.provenance) == (before.created_at, before.method, before.provenance)
    assert after.created_at == "2025-05-05T00:00:00+00:00"


def test_simulations_come_out_in_their_own_units(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1, neurons=1), "first")
    path = take(fresh_sessions, "first", DataFormat.JSONL, tmp_path / "x.jsonl")
    (record,) = read_path(JsonlReader(), path).records
    simulation = record.explanations[0].simulations[0].simulation
    assert simulation.unit is ActivationUnit.NEURON
    assert simulation.uncalibrated is not None
    assert simulation.uncalibrated.unit is ActivationUnit.LEVELS
    assert simulation.uncalibrated.probabilities[0][9] == 0.75


def test_what_cannot_be_exported_is_said(fresh_sessions: Sessions, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        take(fresh_sessions, "nothing", DataFormat.JSONL, tmp_path / "x.jsonl")
    with pytest.raises(Invalid, match="is read and not written"):
        ExportRequest("tiny", DataFormat.DELPHI)
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1, neurons=1), "first")
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="cannot be written"):
        take(fresh_sessions, "first", DataFormat.JSONL, tmp_path / "file/x.jsonl")
