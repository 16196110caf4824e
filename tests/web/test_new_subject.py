"""The form of a new subject: what it takes and refuses, what an inspection shows, what is queued in the end."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.inspections import SubjectRequest
from app.models import Task
from app.settings import Settings
from app.transfer.folders import subject_folders, uploads_folder
from app.work.tasks import cancel_task
from tests.factories import Make
from tests.web.conftest import HTMX, Context, LogIn
from tests.web.everything import inspected

FORM = {"model": "openai-community/gpt2", "corpus": "demo:stdlib"}


@pytest.fixture
def settings(app: FastAPI) -> Settings:
    found: Settings = app.state.settings
    return found


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The folder from which the form takes models and texts."""
    (found,) = subject_folders(settings)
    (found / "models" / "tiny").mkdir(parents=True)
    (found / "models" / "tiny" / "config.json").write_text("{}")
    (found / "texts").mkdir()
    return found


def queued(session: Any) -> Task:
    """The one task that was queued."""
    task: Task = session.scalars(select(Task)).one()
    return task


def test_the_form_is_shown_to_those_who_may_queue(
    client: TestClient, folder: Path, context: Context, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    assert client.get("/subjects/new").status_code == 403
    log_in_as("olga")
    html = client.get("/subjects/new").text
    assert context().models == (str(folder / "models" / "tiny"),)
    assert 'enctype="multipart/form-data"' in html


def test_names_are_inspected_by_a_worker_first(client: TestClient, session: Any, log_in_as: LogIn) -> None:
    olga = log_in_as("olga")
    form = {**FORM, "max_tokens": "", "context_length": "32", "null_twin": "true", "name": " GPT-2 "}
    reply = client.post("/subjects/new", data=form)
    task = queued(session)
    assert (reply.status_code, reply.headers["location"]) == (303, f"/subjects/new/{task.id}")
    assert (task.kind, task.lane, task.account_id) == ("inspection", "interactive", olga.id)
    wanted = SubjectRequest(
        "gpt2", FORM["model"], "demo:stdlib", name="GPT-2", context_length=32, max_tokens=None, null_twin=True
    )
    assert SubjectRequest(**task.parameters["request"]) == wanted


def test_paths_below_the_folders_are_taken(client: TestClient, folder: Path, session: Any, log_in_as: LogIn) -> None:
    log_in_as("olga")
    form = {"model": str(folder / "models" / "tiny"), "corpus": str(folder / "texts"), "max_tokens": "500"}
    assert client.post("/subjects/new", data=form).status_code == 303
    request = SubjectRequest(**queued(session).parameters["request"])
    assert (request.slug, request.max_tokens, request.null_twin) == ("tiny", 500, False)


def test_an_uploaded_text_is_kept_under_a_name_of_ours(
    client: TestClient, settings: Settings, session: Any, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    sent = ("../../etc/my text.jsonl", b'{"text": "hello"}\n')
    reply = client.post("/subjects/new", data={"model": FORM["model"]}, files={"file": sent})
    assert reply.status_code == 303
    kept = Path(queued(session).parameters["request"]["corpus"])
    assert (kept.parent.parent, kept.name) == (uploads_folder(settings), "my-text.jsonl")
    assert kept.read_bytes() == sent[1]


@pytest.mark.parametrize(
    "form",
    [
        {"model": ""},
        {"model": "../gpt2"},
        {"model": "relative/path/three"},
        {"model": "/etc"},
        {"model": "{folder}/../../secret"},
        {"corpus": ""},
        {"corpus": "/etc/passwd"},
        {"corpus": "{folder}/texts/../../../x"},
        {"corpus": "datasets:"},
        {"corpus": "datasets:json@train;x"},
        {"corpus": "datasets:../x"},
        {"corpus": "some words"},
        {"slug": "tasks"},
        {"slug": "Not A Slug"},
        {"context_length": "0"},
        {"context_length": "many"},
        {"max_tokens": "-1"},
    ],
    ids=str,
)
def test_what_cannot_be_collected_is_refused_by_the_form(
    client: TestClient, folder: Path, session: Any, log_in_as: LogIn, form: dict[str, str]
) -> None:
    log_in_as("olga")
    sent = {**FORM, **{name: value.format(folder=folder) for name, value in form.items()}}
    assert client.post("/subjects/new", data=sent).status_code == 422
    assert session.scalars(select(Task)).all() == []


@pytest.mark.parametrize("content", [b"", b"text"], ids=["empty", "beside a name"])
def test_an_empty_file_and_two_texts_are_refused(
    client: TestClient, settings: Settings, session: Any, log_in_as: LogIn, content: bytes
) -> None:
    log_in_as("olga")
    data = {"model": FORM["model"], **({"corpus": "demo:stdlib"} if content else {})}
    assert client.post("/subjects/new", data=data, files={"file": ("a.txt", content)}).status_code == 422
    assert session.scalars(select(Task)).all() == []
    assert [file for file in uploads_folder(settings).rglob("*") if file.is_file()] == []


def test_a_file_above_the_limit_is_refused_before_it_is_kept(
    client: TestClient, app: FastAPI, session: Any, log_in_as: LogIn
) -> None:
    app.state.settings = settings = app.state.settings.model_copy(update={"upload_megabytes": 1})
    log_in_as("olga")
    reply = client.post("/subjects/new", data={"model": "gpt2"}, files={"file": ("a.txt", b"x" * 1_200_000)})
    assert (reply.status_code, "1 megabytes" in reply.text) == (413, True)
    assert not uploads_folder(settings).exists()


def test_a_stranger_sends_no_file(client: TestClient, settings: Settings) -> None:
    reply = client.post("/subjects/new", data={"model": "gpt2"}, files={"file": ("a.txt", b"text")})
    assert reply.status_code == 401
    assert not uploads_folder(settings).exists()


def test_other_forms_keep_their_own_limit(client: TestClient, log_in_as: LogIn) -> None:
    log_in_as("olga")
    assert client.post("/exports", data={"subject": "x" * 1_200_000, "format": "jsonl"}).status_code == 413


def test_an_inspection_shows_what_was_found_and_queues_the_collection(
    client: TestClient, make: Make, context: Context, log_in_as: LogIn
) -> None:
    olga = log_in_as("olga")
    task_id = inspected(make, olga.id)
    html = client.get(f"/subjects/new/{task_id}").text
    assert context().found.n_neurons == 36_864
    assert "about 12 min 34 sec" in html
    assert "36,864: 12 layers of 3,072" in html
    assert 'hx-trigger="every' not in html
    reply = client.post(f"/subjects/new/{task_id}/collect")
    task = make.session.scalars(select(Task).where(Task.kind == "collection")).one()
    assert (reply.status_code, reply.headers["location"]) == (303, f"/tasks/{task.id}")
    assert task.parameters["slug"] == "new"
    assert (task.parameters["is_confined"], task.parameters["then_null_twin"]) == (True, False)
    assert client.post(f"/subjects/new/{task_id}/collect").headers["location"] == f"/tasks/{task.id}"


def test_an_inspection_that_is_not_done_polls_and_queues_nothing(
    client: TestClient, make: Make, context: Context, log_in_as: LogIn
) -> None:
    olga = log_in_as("olga")
    address = client.post("/subjects/new", data=FORM).headers["location"]
    html = client.get(address, headers=HTMX).text
    assert 'hx-trigger="every 1s"' in html
    assert "No worker has been seen" in html
    task_id = context().task.id
    assert client.post(f"{address}/collect").status_code == 409
    cancel_task(make.session, task_id=task_id, account_id=olga.id)
    assert "This does not work" in client.get(address).text


def test_a_form_is_filled_in_again_from_an_inspection(
    client: TestClient, make: Make, context: Context, log_in_as: LogIn
) -> None:
    task_id = inspected(make, log_in_as("olga").id)
    html = client.get(f"/subjects/new?again={task_id}").text
    assert context().before.model == "openai-community/gpt2"
    assert 'value="demo:stdlib"' in html
    assert client.get("/subjects/new?again=999999").status_code == 404


def test_a_name_that_is_taken_is_pointed_out(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    task_id = inspected(make, log_in_as("olga").id)
    assert "There is a subject" not in client.get(f"/subjects/new/{task_id}").text
    make.subject("new")
    assert "There is a subject" in client.get(f"/subjects/new/{task_id}").text
