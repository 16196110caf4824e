import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.bounds import LONGEST_TRIAL
from app.domain.trials import TrialResult
from app.domain.work import TRIAL, Lane
from app.models import Neuron, Task, Worker
from app.work.begin import Taker, begin_task
from app.work.lease import TaskLease, fail, finish
from app.work.trials import MOST_WAITING
from tests.factories import Make
from tests.web.conftest import HTMX, Context, LogIn

ADDRESS = "/tiny/1/2/try"


@pytest.fixture
def neuron(make: Make) -> Neuron:
    neuron = make.neuron(make.subject(), layer=1, index=2)
    explanation = make.explanation(neuron)
    neuron.current_explanation_id = explanation.id
    make.session.flush()
    return neuron


@pytest.fixture
def worker(make: Make) -> Worker:
    """A worker that was seen just now."""
    row = Worker(id="00000000-0000-0000-0000-000000000001", host="here", pid=1, device="cpu")
    make.session.add(row)
    make.session.flush()
    return row


def ask(client: TestClient, make: Make, text: str = " import") -> Task:
    answer = client.post(ADDRESS, data={"text": text}, headers=HTMX)
    assert answer.status_code == 200, answer.text
    return make.session.scalars(select(Task).order_by(Task.id.desc()).limit(1)).one()


def begin(make: Make) -> TaskLease:
    taker = Taker(uuid.uuid4(), uuid.uuid4(), 60.0)
    lease = begin_task(make.session, taker=taker, lane=Lane.INTERACTIVE, kinds=[TRIAL.name])
    assert lease is not None
    return lease


def answer_with(make: Make, expected: list[float] | None, note: str | None = None) -> None:
    """Let a worker store its result."""
    result = TrialResult(
        [0, 4], [-0.5, 4.0], expected, note, 0.01, *((None, None) if expected is None else (0.4, "lexical"))
    )
    finish(make.session, lease=begin(make), result=result.as_json())


def test_the_page_offers_the_shown_explanation_to_hold_a_text_against(
    client: TestClient, neuron: Neuron, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("charlie")
    html = client.get(ADDRESS).text
    assert context().state == "none"
    assert context().explanation.id == neuron.current_explanation_id
    assert f'name="explanation_id" value="{neuron.current_explanation_id}"' in html


def test_reading_the_page_queues_nothing_and_typing_does(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    for address in (ADDRESS, f"{ADDRESS}.json", f"{ADDRESS}?explanation={neuron.current_explanation_id}"):
        assert client.get(address).status_code == 200
    assert make.session.scalars(select(Task)).all() == []
    assert client.post(f"{ADDRESS}/warm-up", headers=HTMX).status_code == 204
    assert client.post(f"{ADDRESS}/warm-up").headers["location"] == ADDRESS
    assert make.session.scalars(select(Task.kind)).all() == ["warm_up"]


def test_a_text_waits_and_its_page_asks_again_until_it_is_answered(
    client: TestClient, make: Make, neuron: Neuron, worker: Worker, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("charlie")
    trial = ask(client, make)
    waiting = client.get(f"{ADDRESS}?trial={trial.id}", headers=HTMX).text
    assert 'hx-trigger="every 300ms"' in waiting
    assert f'href="{ADDRESS}?trial={trial.id}"' in waiting

    answer_with(make, [0.0, 5.0])
    done = client.get(f"{ADDRESS}?trial={trial.id}", headers=HTMX).text

    assert "hx-trigger" not in done
    assert context().row.tokens == [" the", " import"]
    # Real, expected and their difference, on the neuron's own scale of 4.
    cells = "<i class=h10><s> </s>import</i><td role=cell>4<td role=cell class=h5>2<td role=cell class=h5>2"
    assert cells in done


def test_without_javascript_the_form_keeps_the_text(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    answer = client.post(ADDRESS, data={"text": "\r\n <b>x"})
    assert answer.headers["location"].startswith(f"{ADDRESS}?trial=")
    assert make.session.scalars(select(Task.parameters)).one()["text"] == "\n <b>x"
    assert "\n\n &lt;b&gt;x</textarea>" in client.get(answer.headers["location"]).text


def test_a_note_replaces_expected_activations(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("charlie")
    trial = ask(client, make)
    answer_with(make, None, "nothing to read")
    html = client.get(f"{ADDRESS}?trial={trial.id}").text
    assert "Live activations" in html
    assert "nothing to read" in html
    assert client.get(f"{ADDRESS}.json?trial={trial.id}").json()["row"]["activations"] == [-0.5, 4.0]


def test_a_failure_shows_its_cause(client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn) -> None:
    log_in_as("charlie")
    trial = ask(client, make)
    fail(make.session, lease=begin(make), error="<weights> are not the ones")
    html = client.get(f"{ADDRESS}?trial={trial.id}", headers=HTMX).text
    assert "&lt;weights&gt; are not the ones" in html
    assert "hx-trigger" not in html


def test_without_a_worker_the_page_says_so_before_and_after(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    assert "No worker has been seen" in client.get(ADDRESS).text
    trial = ask(client, make)
    assert "No worker has been seen" in client.get(f"{ADDRESS}?trial={trial.id}").text


def test_an_answer_that_never_comes_is_not_waited_for_forever(
    client: TestClient, make: Make, neuron: Neuron, worker: Worker, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("charlie")
    trial = ask(client, make)
    trial.queued_at = datetime.now(UTC) - timedelta(minutes=10)
    make.session.flush()
    html = client.get(f"{ADDRESS}?trial={trial.id}", headers=HTMX).text
    assert context().state == "unanswered"
    assert "hx-trigger" not in html


@pytest.mark.parametrize("text", ["", " \n", "x" * (LONGEST_TRIAL + 1), f"{' ' * (LONGEST_TRIAL + 1)}", "a\0"])
def test_a_text_that_is_empty_or_too_long_is_refused(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, text: str
) -> None:
    log_in_as("charlie")
    assert client.post(ADDRESS, data={"text": text}).status_code == 422
    assert make.session.scalars(select(Task)).all() == []


def test_one_person_cannot_keep_the_workers_busy(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    for _ in range(MOST_WAITING):
        ask(client, make)
    assert client.post(ADDRESS, data={"text": "x"}).status_code == 409


def test_trials_and_explanations_of_other_neurons_are_not_shown_here(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    trial = ask(client, make)
    elsewhere = make.neuron(make.session.get_one(type(make.subject("other")), neuron.subject_id), index=3)
    assert client.get(f"/tiny/0/3/try?trial={trial.id}").status_code == 404
    assert client.get(f"{ADDRESS}?explanation={make.explanation(elsewhere).id}").status_code == 404
    assert client.get(f"{ADDRESS}?trial=x").status_code == 422
