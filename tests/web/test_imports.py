"""Pages of imports and exports: who may queue, from where, progress, problems, and the file at the end."""

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.imports import DataFormat
from app.domain.work import Lane
from app.formats.sources.opening import local_source
from app.models import DataImport, Explanation, Neuron, Run, Task
from app.settings import Settings
from app.transfer.exporting import ExportRequest
from app.transfer.folders import exports_folder, imports_folder
from app.transfer.importing import ImportOutcome, ImportRequest, run_import
from app.transfer.tasks import enqueue_export, import_of
from app.work.begin import Taker, begin_task
from app.work.lease import finish
from tests.factories import Make
from tests.openai_files import neuron_record, write_data_set, write_json
from tests.web.conftest import HTMX, Context, LogIn


@pytest.fixture
def settings(app: FastAPI, tmp_path: Path) -> Settings:
    """The site's settings, with a data folder of the test's own."""
    app.state.settings = app.state.settings.model_copy(update={"data_dir": tmp_path / "data"})
    found: Settings = app.state.settings
    return found


@pytest.fixture
def imported(sessions: Sessions, tmp_path: Path) -> ImportOutcome:
    """Two layers of three neurons, and one file with a bad record."""
    folder = write_data_set(tmp_path / "published")
    bad = neuron_record(0, 3)
    bad["random_sample"][0]["activations"] = []
    write_json(folder / "collated-activations/0/3.json", bad)
    return run_import(sessions, local_source(folder), ImportRequest("gpt2", name="GPT-2"), tell=lambda _: None)


def test_the_list_shows_imports_with_their_counts(
    client: TestClient, imported: ImportOutcome, context: Context, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    html = client.get("/imports").text
    (shown,) = context().imports
    assert (shown.state, shown.row.slug, shown.row.n_problems) == ("complete", "gpt2", 1)
    assert shown.row.counts.new_neurons == 7
    assert "Queue the import" not in html
    assert 'hx-trigger="every' not in html


def test_a_page_lists_what_was_refused_with_file_field_and_reason(
    client: TestClient, imported: ImportOutcome, context: Context, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    html = client.get(f"/imports/{imported.import_id}").text
    (problem,) = context().problems
    assert problem.file == "collated-activations/0/3.json"
    assert problem.field == "random_sample[0].activations"
    assert "it has 8 tokens and 0 activations" in html
    assert "show these records" in html
    assert client.get("/imports/999999").status_code == 404


def test_an_import_that_runs_is_asked_for_again_and_one_that_fell_silent_is_stopped(
    client: TestClient, imported: ImportOutcome, sessions: Sessions, context: Context, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    with sessions() as session:
        session.execute(update(DataImport).values(status="running", progress=0.5))
        session.commit()
    part = client.get(f"/imports/{imported.import_id}", headers=HTMX).text
    assert (context().shown.state, 'hx-trigger="every 1s"' in part) == ("running", True)
    assert 'hx-trigger="every 2s"' in client.get("/imports", headers=HTMX).text
    with sessions() as session:
        session.execute(update(DataImport).values(seen_at=datetime(2026, 1, 1, tzinfo=UTC)))
        session.commit()
    part = client.get(f"/imports/{imported.import_id}", headers=HTMX).text
    assert (context().shown.state, 'hx-trigger="every' in part) == ("stopped", False)
    assert "resumes where it stopped" in part


def test_another_collection_is_shown_when_an_operator_asks_for_it(
    client: TestClient, imported: ImportOutcome, sessions: Sessions, tmp_path: Path, context: Context, log_in_as: LogIn
) -> None:
    folder = write_data_set(tmp_path / "second", layers=1)
    other = run_import(sessions, local_source(folder), ImportRequest("gpt2", collection="second"), tell=lambda _: None)
    log_in_as("charlie")
    assert "Show these records instead" not in client.get(f"/imports/{other.import_id}").text
    assert client.post(f"/imports/{other.import_id}/show").status_code == 403
    log_in_as("olga")
    html = client.get(f"/imports/{other.import_id}").text
    assert "show the records of another collection" in html
    assert client.post(f"/imports/{other.import_id}/show").headers["location"] == "/gpt2"
    assert "Its pages show the collection second. Also stored: " in client.get("/gpt2").text
    assert client.post("/imports/999999/show").status_code == 404


def test_strangers_see_nothing_of_imports(client: TestClient, imported: ImportOutcome) -> None:
    assert client.get("/imports").status_code == 401
    assert client.get(f"/imports/{imported.import_id}").status_code == 401


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The folder from which pages import."""
    found = imports_folder(settings)
    found.mkdir(parents=True)
    return found


def test_a_name_in_the_folder_of_imports_is_queued(
    client: TestClient, folder: Path, session: Any, context: Context, log_in_as: LogIn
) -> None:
    write_data_set(folder / "published", layers=1, neurons=1)
    log_in_as("olga")
    assert client.get("/imports").status_code == 200
    assert context().files == ("published",)
    form = {"source": "published", "subject": "gpt2", "format": "openai", "name": "GPT-2"}
    reply = client.post("/imports", data=form, follow_redirects=False)
    task = session.scalars(select(Task)).one()
    assert (reply.status_code, reply.headers["location"]) == (303, f"/tasks/{task.id}")
    location, request = import_of(task.parameters)
    assert (location.source, location.opened().name) == (str(folder / "published"), str(folder / "published"))
    assert request == ImportRequest("gpt2", DataFormat.OPENAI, name="GPT-2")


def test_an_uploaded_file_is_added_to_the_folder_and_queued(
    client: TestClient, settings: Settings, session: Any, log_in_as: LogIn
) -> None:
    sent = {"file": ("../neurons.jsonl", b"{}\n")}
    assert client.post("/imports", data={"subject": "gpt2"}, files=sent).status_code == 401
    log_in_as("charlie")
    assert client.post("/imports", data={"subject": "gpt2"}, files=sent).status_code == 403
    log_in_as("olga")
    for refused in ({"subject": "Not A Slug"}, {"subject": "gpt2", "source": "published"}):
        assert client.post("/imports", data=refused, files=sent).status_code == 422
    assert not imports_folder(settings).exists()
    assert client.post("/imports", data={"subject": "gpt2"}, files=sent).status_code == 303
    location, _ = import_of(session.scalars(select(Task)).one().parameters)
    assert location.source == str(imports_folder(settings) / "neurons.jsonl")
    assert Path(location.source).read_bytes() == b"{}\n"
    assert "already" in client.post("/imports", data={"subject": "gpt2"}, files=sent).text


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"source": "../published"},
        {"source": "/etc/passwd"},
        {"source": "missing"},
        {"source": "link"},
        {"source": "published", "format": "pickle"},
        {"source": "published", "subject": "Not A Slug"},
        {"source": "http://127.0.0.1:9/data"},
        {"source": "http://127.0.0.1:9/data", "layers": "a", "indices": "0"},
    ],
)
def test_what_cannot_be_imported_is_refused_by_the_form(
    client: TestClient, folder: Path, session: Any, log_in_as: LogIn, form: dict[str, str]
) -> None:
    write_data_set(folder / "published", layers=1, neurons=1)
    (folder / "link").symlink_to("/etc")
    log_in_as("olga")
    assert client.post("/imports", data={"subject": "gpt2", **form}).status_code == 422
    assert session.scalars(select(Task)).all() == []


def test_the_first_subject_to_export_is_no_null_twin(
    client: TestClient, make: Make, log_in_as: LogIn, context: Context
) -> None:
    subject = make.subject("own")
    make.subject("twin").null_twin_of_id = subject.id
    log_in_as("charlie")
    client.get("/imports")
    assert [each.slug for each in context().subjects] == ["own", "twin"]


def test_an_export_is_queued_and_its_file_served(
    client: TestClient, make: Make, settings: Settings, session: Any, log_in_as: LogIn
) -> None:
    make.subject()
    log_in_as("olga")
    reply = client.post("/exports", data={"subject": "tiny", "format": "openai"}, follow_redirects=False)
    task = session.scalars(select(Task)).one()
    assert (reply.status_code, task.kind, task.parameters["format"]) == (303, "export", "openai")
    assert client.get(f"/exports/{task.id}", follow_redirects=False).headers["location"] == f"/tasks/{task.id}"
    exports_folder(settings).mkdir(parents=True)
    (exports_folder(settings) / "tiny.tar.gz").write_bytes(b"packed")
    lease = begin_task(session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60.0), lane=Lane.BACKGROUND, kinds=["export"])
    assert lease is not None
    finish(session, lease=lease, result={"file": "tiny.tar.gz"})
    served = client.get(f"/exports/{task.id}")
    assert (served.content, "tiny.tar.gz" in served.headers["content-disposition"]) == (b"packed", True)
    (exports_folder(settings) / "tiny.tar.gz").unlink()
    assert client.get(f"/exports/{task.id}").status_code == 404


def test_a_format_that_is_only_read_is_not_written(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    make.subject()
    log_in_as("olga")
    assert "is read and not written" in client.post("/exports", data={"subject": "tiny", "format": "delphi"}).text


def test_a_reader_may_not_take_an_export(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    make.subject()
    task = enqueue_export(make.session, request=ExportRequest("tiny", DataFormat.JSONL), account_id=None)
    log_in_as("charlie")
    assert client.get(f"/exports/{task.id}").status_code == 403


def test_the_pages_of_an_imported_neuron_say_what_is_not_known(
    client: TestClient, imported: ImportOutcome, log_in_as: LogIn
) -> None:
    html = client.get("/gpt2/1/2").text
    assert "words about importing 1/2" in html
    assert "the maximum over the corpus is not known" in html
    listed = client.get("/gpt2").text
    assert not re.search(r"(?<![\d,])0 tokens", listed)
    assert "Imported, neurons of OpenAI neuron-explainer files" in listed


def test_an_imported_explanation_is_scored_by_a_method(
    client: TestClient, imported: ImportOutcome, make: Make, log_in_as: LogIn
) -> None:
    method, explanation = make.method(), make.session.scalars(select(Explanation).order_by(Explanation.id)).first()
    assert explanation is not None
    address = f"/explanations/{explanation.id}/score"
    neuron = make.session.get_one(Neuron, explanation.neuron_id)
    page = f"/gpt2/{neuron.layer}/{neuron.index}"
    log_in_as("charlie")
    assert f'action="{address}"' not in client.get(page).text
    assert client.post(address, data={"method_id": method.id}).status_code == 403
    log_in_as("olga")
    assert f'action="{address}"' in client.get(page).text
    answer = client.post(address, data={"method_id": method.id})
    assert answer.headers["location"] == f"{page}?explanation={explanation.id}#_progress"
    run = make.session.scalars(select(Run)).one()
    assert (run.explanation_id, run.method_id, run.status) == (explanation.id, method.id, "queued")
    again = client.post(address, data={"method_id": method.id}, headers=HTMX)
    assert again.status_code == 409
    assert client.post("/explanations/999/score", data={"method_id": method.id}).status_code == 404
    assert client.post(address, data={"method_id": 999}).status_code == 404
