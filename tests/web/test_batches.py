from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.models import Event, Explanation, Pause, Run, Subject
from app.work.enqueue import enqueue_batch
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import HTMX, Context, LogIn


@pytest.fixture(autouse=True)
def reader(log_in_as: LogIn) -> None:
    """These pages need an account; a reader's is enough."""
    log_in_as("charlie")


@pytest.fixture
def batch_id(make: Make, subject: Subject) -> int:
    """Three queued runs."""
    neurons = [make.neuron(subject, index=index) for index in range(3)]
    queued = enqueue_batch(
        make.session,
        subject_id=subject.id,
        neuron_ids=[n.id for n in neurons],
        method_id=make.method().id,
        account_id=make.account("dora").id,
    )
    make.session.flush()
    return queued.batch_id


def end(make: Make, batch_id: int, *statuses: str, error: str | None = None) -> list[Run]:
    """Let the batch's first runs end."""
    runs = list(make.session.scalars(select(Run).where(Run.batch_id == batch_id).order_by(Run.id)))
    for run, status in zip(runs, statuses, strict=False):
        run.status, run.started_at, run.finished_at = status, datetime.now(UTC), datetime.now(UTC)
        run.error = error
    make.session.flush()
    return runs


def test_batches_are_listed_with_their_progress(
    client: TestClient, make: Make, batch_id: int, context: Context
) -> None:
    end(make, batch_id, "succeeded", "failed")
    answer = client.get("/batches")
    (batch,) = context().batches
    assert (batch.id, batch.subject, batch.by, batch.n_ended, batch.n_active) == (batch_id, "tiny", "dora", 2, 1)
    assert f'href="/batches/{batch_id}"' in answer.text


def test_an_empty_queue_shows_how_to_fill_it(client: TestClient) -> None:
    assert "Nothing has been queued yet" in client.get("/batches").text


def test_progress_is_a_fragment_that_looks_again_until_it_has_ended(
    client: TestClient, make: Make, batch_id: int
) -> None:
    waiting = client.get(f"/batches/{batch_id}", headers=HTMX).text
    assert waiting.lstrip().startswith('<section id="_progress"')
    assert "Waiting:" in waiting
    assert f'hx-get="/batches/{batch_id}"' in waiting
    end(make, batch_id, "running")
    assert "Running:" in client.get(f"/batches/{batch_id}").text
    end(make, batch_id, "succeeded", "failed", "cancelled")
    ended = client.get(f"/batches/{batch_id}", headers=HTMX).text
    assert "1 of 3 runs succeeded" in ended
    assert "hx-trigger" not in ended


def test_errors_are_shown_with_their_cause(client: TestClient, make: Make, batch_id: int, context: Context) -> None:
    (failed, *_) = end(make, batch_id, "failed", error="no <records>")
    assert "no &lt;records&gt;" in client.get(f"/batches/{batch_id}?status=failed").text
    assert [run.id for run in context().runs] == [failed.id]
    page = client.get(f"/runs/{failed.id}").text
    assert "Failure reason" in page
    assert "hx-trigger" not in page


def test_a_finished_run_leads_to_its_explanation(client: TestClient, make: Make, batch_id: int) -> None:
    (done, *_) = end(make, batch_id, "succeeded")
    explanation = Explanation(
        neuron_id=done.neuron_id, run_id=done.id, text="fires on cats", author_kind="method", author="lexical"
    )
    make.session.add(explanation)
    make.session.flush()
    link = f'href="/tiny/0/0?explanation={explanation.id}"'
    assert link in client.get(f"/batches/{batch_id}").text
    assert link in client.get(f"/runs/{done.id}").text


def test_an_active_run_shows_its_stage_and_looks_again(client: TestClient, make: Make, batch_id: int) -> None:
    (run, *_) = end(make, batch_id, "running")
    run.stage, run.progress, run.finished_at = "simulate", 0.5, None
    make.session.flush()
    page = client.get(f"/runs/{run.id}").text
    assert "simulate" in page
    assert f'hx-get="/runs/{run.id}"' in page


def test_a_batch_is_cancelled(client: TestClient, make: Make, batch_id: int, log_in_as: LogIn) -> None:
    log_in_as("olga")
    assert "Cancel the 3 runs left" in client.get(f"/batches/{batch_id}").text
    answer = client.post(f"/batches/{batch_id}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/batches/{batch_id}")
    make.session.expire_all()
    assert set(make.session.scalars(select(Run.status))) == {"cancelled"}
    assert "batch.cancelled" in make.session.scalars(select(Event.kind)).all()
    assert client.post(f"/batches/{batch_id}/cancel").status_code == 409


def test_a_run_is_cancelled_and_retried(client: TestClient, make: Make, batch_id: int, log_in_as: LogIn) -> None:
    log_in_as("olga")
    run = end(make, batch_id)[0]
    for action, status in (("cancel", "cancelled"), ("retry", "queued")):
        answer = client.post(f"/runs/{run.id}/{action}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run.id}")
        make.session.refresh(run)
        assert run.status == status
    assert client.post(f"/runs/{run.id}/retry").status_code == 409


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("charlie", 403)])
@pytest.mark.parametrize("action", ["/batches/{batch}/cancel", "/runs/{run}/cancel", "/runs/{run}/retry"])
def test_readers_may_not_decide(
    client: TestClient, make: Make, batch_id: int, name: str | None, status: int, action: str
) -> None:
    main = client.get(f"/batches/{batch_id}").text.partition("<main")[2].partition("</main>")[0]
    assert "<form" not in main
    assert main.count("<button") == main.count("popovertarget=")  # those that explain terms
    if name is None:
        client.cookies.clear()
    run = end(make, batch_id)[0]
    assert client.post(action.format(batch=batch_id, run=run.id)).status_code == status


def test_a_queue_without_workers_has_a_notice(client: TestClient, make: Make, batch_id: int) -> None:
    make.session.add(Pause(provider="hosted", reason="no answer", until=datetime.now(UTC) + timedelta(minutes=1)))
    make.session.flush()
    page = client.get(f"/batches/{batch_id}").text
    assert "neuron-audit worker" in page
    assert "no answer" in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/batches/0", 404), ("/batches/x", 404), ("/batches/123456789", 404), ("/batches/9223372036854775808", 404),
        ("/runs/x", 404), ("/runs/123456789", 404), ("/runs/-1.json", 404),
        ("/batches?after=x", 422), ("/batches?before=%00", 422), ("/batches.json?after=-1", 422),
    ],
)  # fmt: skip
def test_unknown_and_malformed_addresses_have_different_errors(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


@pytest.mark.parametrize("query", ["status=happy", "after=x", "before=1.5"])
def test_a_damaged_list_of_runs_is_refused(client: TestClient, batch_id: int, query: str) -> None:
    assert client.get(f"/batches/{batch_id}?{query}").status_code == 422


@pytest.mark.parametrize("action", ["/batches/9/cancel", "/runs/9/cancel", "/runs/9/retry"])
def test_what_is_not_there_cannot_be_changed(client: TestClient, log_in_as: LogIn, action: str) -> None:
    log_in_as("olga")
    assert client.post(action.replace("9", "123456789")).status_code == 404


def test_the_twins_say_the_same(client: TestClient, make: Make, batch_id: int) -> None:
    (run, *_) = end(make, batch_id, "succeeded")
    assert client.get("/batches.json").json()["batches"][0]["counts"]["succeeded"] == 1
    twin = client.get(f"/batches/{batch_id}.json?status=succeeded").json()
    assert [r["id"] for r in twin["runs"]] == [run.id]
    assert client.get(f"/runs/{run.id}.json").json()["run"]["status"] == "succeeded"


def test_pages_take_few_queries_however_long_they_are(
    client: TestClient, make: Make, batch_id: int, engine: Engine
) -> None:
    end(make, batch_id, "succeeded", "succeeded", "failed")
    for path, most in (("/batches", 6), (f"/batches/{batch_id}", 13)):  # one of them asks who is looking
        with counted_queries(engine) as sent:
            client.get(path)
        assert len(sent) <= most
