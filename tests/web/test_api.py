"""The tables of the API, and the examples of the guide over a served site."""

import json
import runpy
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.models import Explanation, Score, Subject
from app.queries.exports import bulk
from app.web.pages.api import TABLES
from tests.browser.site import free_port
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def subject(make: Make) -> Subject:
    """Three neurons: one with two explanations, one with one, one with none; another subject beside it."""
    subject = make.subject(n_layers=2, neurons_per_layer=4)
    neuron = make.neuron(subject, layer=0, index=3)
    make.explained(neuron, "fires on cats", 0.25, method=make.method("lexical"))
    make.explained(neuron, "fires on dogs", 0.75, whole=WholeCorpus(0.5))
    make.explained(make.neuron(subject, layer=1, index=0), 'fires on "\u20ac\n"', 0.5, whole=WholeCorpus(0.625))
    make.neuron(subject, layer=1, index=2)
    make.explained(make.neuron(make.subject("other"), index=0), "fires elsewhere", 0.5)
    return subject


def rows(client: TestClient, table: str, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/subjects/tiny/{table}{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jsonl; charset=utf-8"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_every_neuron_is_a_line_in_the_order_of_addresses(client: TestClient, subject: Subject) -> None:
    found = rows(client, "neurons")
    assert [(row["layer"], row["index"]) for row in found] == [(0, 3), (1, 0), (1, 2)]
    assert found[0]["n_explanations"] == 2
    assert found[1]["explanation"] == 'fires on "\u20ac\n"'
    assert (found[1]["whole_corpus_score"], found[1]["score_2023"]) == (0.625, 0.5)
    assert found[2]["explanation_id"] is None


def test_every_explanation_is_there_with_the_one_that_is_shown(
    client: TestClient, subject: Subject, make: Make
) -> None:
    found = rows(client, "explanations")
    assert [row["text"] for row in found] == ["fires on cats", "fires on dogs", 'fires on "\u20ac\n"']
    assert sum(row["is_shown"] for row in found[:2]) == 1
    assert (found[0]["method"], found[0]["method_version"], found[1]["method"]) == ("lexical", 1, None)
    stored = make.session.scalars(select(Explanation.id).order_by(Explanation.id)).all()
    assert [row["explanation_id"] for row in found] == list(stored[:3])


def test_every_score_of_the_subject_is_there(client: TestClient, subject: Subject, make: Make) -> None:
    found = rows(client, "scores")
    own = {row["explanation_id"] for row in rows(client, "explanations")}
    stored = make.session.execute(select(Score.id, Score.value).where(Score.explanation_id.in_(own))).all()
    assert {(row["score_id"], row["value"]) for row in found} == {tuple(row) for row in stored}


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_reading_in_parts_gives_every_row_once(
    client: TestClient, subject: Subject, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows(client, table)
    parts, after = [], ""
    for _ in range(4):
        part = rows(client, table, f"?limit=1{after}")
        parts += part
        address = rows(client, "neurons", f"?limit=1{after}")
        if address:
            after = f"&after={address[0]['layer']}/{address[0]['index']}"
    assert parts == whole
    monkeypatch.setattr("app.web.pages.api.CHUNK", 1)
    assert rows(client, table) == whole


def test_a_chunk_takes_two_queries(client: TestClient, subject: Subject, engine: Engine, make: Make) -> None:
    for read in (bulk.neuron_rows, bulk.explanation_rows, bulk.score_rows):
        with counted_queries(engine) as queries:
            read(make.session, subject_id=subject.id, after=None)
        assert len(queries) == 2


@pytest.mark.parametrize("query", ["?after=x", "?after=1", "?after=1/-1", "?after=99999/1", "?limit=0", "?page=2"])
def test_a_malformed_request_is_refused(client: TestClient, subject: Subject, query: str) -> None:
    assert client.get(f"/api/subjects/tiny/neurons{query}").status_code == 422


def test_an_unknown_subject_has_no_tables(client: TestClient) -> None:
    assert client.get("/api/subjects/nobody/scores").status_code == 404


@pytest.fixture
def served(app: FastAPI) -> Iterator[str]:
    """The application on a port of this machine."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_the_example_prints_what_the_corpus_contradicts_most(
    subject: Subject, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(EXAMPLES / "weakest_explanations.py"))["main"](served, "tiny")
    printed = [line for line in capsys.readouterr().out.splitlines() if served in line]
    assert [line.split()[:2] for line in printed] == [["0.75", "0.50"], ["0.50", "0.62"]]


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    subject: Subject, served: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURON_AUDIT_SITE", served)
    monkeypatch.setenv("NEURON_AUDIT_SUBJECT", "tiny")
    notebook = json.loads((EXAMPLES / "scores_by_layer.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)
    assert "2 explanations" in capsys.readouterr().out
    assert names["medians"]["correlation", 1] == 0.5
