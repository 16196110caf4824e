from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.executed import CORPUS, EXECUTED
from app.models import Score, Task
from tests.factories import Make
from tests.web.conftest import LogIn


def test_the_button_queues_a_check_and_shows_its_task(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    make.explanation(make.neuron(make.subject()))
    log_in_as("olga")
    assert 'action="/tiny/check"' in client.get("/tiny").text
    answer = client.post("/tiny/check", follow_redirects=False)
    task = make.session.scalars(select(Task)).one()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/tasks/{task.id}")
    assert (task.kind, task.parameters) == ("check", {"slug": "tiny"})
    assert client.post("/tiny/check", follow_redirects=False).headers["location"] == f"/tasks/{task.id}"


def test_where_everything_has_been_checked_it_says_so(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    subject = make.subject()
    explanation = make.explanation(make.neuron(subject))
    make.session.add(
        Score(
            explanation_id=explanation.id,
            collection_id=subject.collection_id,
            scorer=EXECUTED,
            sample=CORPUS,
            value=0.5,
            n_valid=100,
            n_failed=0,
        )
    )
    log_in_as("olga")
    answer = client.post("/tiny/check")
    assert answer.status_code == 409
    assert "has been checked" in answer.text


def test_the_button_is_hidden_from_those_who_may_not_queue(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    make.neuron(make.subject())
    assert "/tiny/check" not in client.get("/tiny").text
    log_in_as("charlie")
    assert "/tiny/check" not in client.get("/tiny").text
