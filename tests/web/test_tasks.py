import re
import uuid

import pytest
from starlette.testclient import TestClient

from app.domain import work
from app.domain.work import TRIAL, Lane, TaskKind
from app.models import Task
from app.work.begin import Taker, begin_task
from app.work.lease import TaskLease, fail, finish, store_progress
from app.work.tasks import enqueue_task
from tests.factories import Make
from tests.web.conftest import HTMX, Context, LogIn

CHECK = TaskKind("check", "A check of these tests", Lane.BACKGROUND, result_page="/{slug}?check={id}")


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch, log_in_as: LogIn) -> None:
    """One kind of long work; olga, an operator, looks at it."""
    monkeypatch.setitem(work.KINDS, "check", CHECK)
    log_in_as("olga")


@pytest.fixture
def task_id(make: Make) -> int:
    subject = make.subject()
    queued = enqueue_task(
        make.session,
        kind=CHECK,
        title="5 neurons",
        account_id=make.account("dora").id,
        subject_id=subject.id,
        parameters={"slug": subject.slug},
    )
    return queued.id


def begin(make: Make) -> TaskLease:
    taker = Taker(uuid.uuid4(), uuid.uuid4(), 60.0)
    lease = begin_task(make.session, taker=taker, lane=Lane.BACKGROUND, kinds=["check"])
    assert lease is not None
    return lease


def test_without_a_task_the_page_says_what_would_be_listed(client: TestClient) -> None:
    assert "No task has been queued yet" in client.get("/tasks").text


def test_tasks_are_listed_newest_first_with_kind_and_person(
    client: TestClient, make: Make, task_id: int, context: Context
) -> None:
    newer = enqueue_task(make.session, kind=CHECK, title="<b>", account_id=None).id
    html = client.get("/tasks").text
    assert [(t.id, t.label, t.subject, t.by) for t in context().tasks] == [
        (newer, "A check of these tests", None, None),
        (task_id, "A check of these tests", "tiny", "dora"),
    ]
    assert "&lt;b&gt;" in html
    assert [t["status"] for t in client.get("/tasks.json").json()["tasks"]] == ["queued", "queued"]


def test_kinds_that_are_not_listed_have_no_page_here(client: TestClient, make: Make, context: Context) -> None:
    trial = enqueue_task(make.session, kind=TRIAL, title="a text", account_id=None).id
    client.get("/tasks")
    assert context().tasks == ()
    assert client.get(f"/tasks/{trial}").status_code == 404


def test_a_running_task_is_a_fragment_that_looks_again_until_it_has_ended(
    client: TestClient, make: Make, task_id: int, context: Context
) -> None:
    lease = begin(make)
    store_progress(make.session, lease=lease, stage="read_neurons", progress=0.4)
    running = client.get(f"/tasks/{task_id}", headers=HTMX).text
    assert running.lstrip().startswith('<section id="_task"')
    assert "read neurons" in running
    assert f'hx-get="/tasks/{task_id}"' in running
    result = {"n_checked": 5, "is_complete": True, "import_id": 77, "bytes": 3_000, "notes": ["cut"]}
    finish(make.session, lease=lease, result=result)
    ended = client.get(f"/tasks/{task_id}", headers=HTMX).text
    assert "hx-trigger" not in ended
    assert context().result == result
    facts = re.findall(r"<dt>\s*(.*?)\s*</dt>\s*<dd\s*>\s*(.*?)\s*</dd>", ended)[:3]
    assert facts == [("Bytes", "3 kB"), ("Checked", "5"), ("Complete", "yes")]
    assert f'href="/tiny?check={task_id}"' in ended


def test_a_failure_is_shown_and_can_be_retried_and_cancelled(client: TestClient, make: Make, task_id: int) -> None:
    fail(make.session, lease=begin(make), error="no <records>")
    assert "no &lt;records&gt;" in client.get(f"/tasks/{task_id}").text
    for action, status in (("retry", "queued"), ("cancel", "cancelled")):
        answer = client.post(f"/tasks/{task_id}/{action}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/tasks/{task_id}")
        make.session.expire_all()
        assert make.session.get_one(Task, task_id).status == status


def test_unknown_tasks_are_not_found(client: TestClient) -> None:
    assert client.get("/tasks/1").status_code == 404
    assert client.get("/tasks/99999999999999999999").status_code == 404
    assert client.get("/tasks?after=newest").status_code == 422
