"""Exports: what the database knows comes out, and comes in again the same."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.domain.authors import AuthorKind
from app.domain.flags import FlagReason
from app.domain.imports import RECOMPUTED, DataFormat
from app.domain.samples import SampleKind
from app.errors import Invalid, NotFound
from app.formats.neuronpedia.reader import NeuronpediaReader
from app.formats.own.jsonl import JsonlReader
from app.formats.own.parquet import ParquetReader
from app.formats.records import (
    ActivationUnit,
    NeuronRecord,
)
from app.models import Account, Explanation, Flag, Neuron, ReviewItem, ReviewVerdict
from app.queries.imports.judgements import imported_judgements
from app.queries.review.flags import open_flag
from app.transfer.exporting import ExportRequest
from tests.db.transferring import bring, take
from tests.factories import Make, WholeCorpus
from tests.openai_files import neuron_record, simulation_results, write_data_set
from tests.unit.formats.reading import read_path
from tests.unit.formats.upstream import neuronpedia_rows, openai_explanations, openai_object

ALL = (DataFormat.JSONL, DataFormat.PARQUET, DataFormat.OPENAI, DataFormat.NEURONPEDIA)


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
