import re

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.bounds import LONGEST_EXPLANATION
from app.models import Explanation, Method, Neuron, Run
from tests.factories import Make
from tests.web.conftest import HTMX, Context, LogIn

ADDRESS = "/tiny/1/2/explanations"


@pytest.fixture
def neuron(make: Make) -> Neuron:
    return make.neuron(make.subject(), layer=1, index=2)


@pytest.fixture
def method(make: Make) -> Method:
    return make.method()


def n_explanations(make: Make) -> int:
    return make.session.scalar(select(func.count()).select_from(Explanation)) or 0


def test_a_persons_text_is_an_explanation_at_once_and_waits_to_be_scored(
    client: TestClient, make: Make, neuron: Neuron, method: Method, log_in_as: LogIn, context: Context
) -> None:
    alice = log_in_as("alice")
    answer = client.post(ADDRESS, data={"text": ' fires on "cat"\r\nor "sat" ', "method_id": method.id})

    explanation = make.session.scalars(select(Explanation)).one()
    run = make.session.scalars(select(Run)).one()
    assert (explanation.text, explanation.author_kind) == ('fires on "cat"\nor "sat"', "person")
    assert (explanation.author, explanation.account_id, explanation.run_id) == ("alice", alice.id, None)
    assert (run.explanation_id, run.status) == (explanation.id, "queued")
    assert answer.headers["location"] == f"/tiny/1/2?explanation={explanation.id}#_progress"
    client.get(answer.headers["location"])
    assert context().claim.shown.by == "alice"
    assert context().progress.state == "active"


def test_htmx_gets_the_progress_alone(client: TestClient, neuron: Neuron, method: Method, log_in_as: LogIn) -> None:
    log_in_as("olga")
    answer = client.post(ADDRESS, data={"text": "cats", "method_id": method.id}, headers=HTMX)
    assert answer.text.lstrip().startswith('<section id="_progress"')
    assert "hx-trigger" in answer.text


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (LONGEST_EXPLANATION + 1), "a\0b"])
def test_a_text_that_says_nothing_or_too_much_is_refused(
    client: TestClient, make: Make, neuron: Neuron, method: Method, log_in_as: LogIn, text: str
) -> None:
    log_in_as("alice")
    assert client.post(ADDRESS, data={"text": text, "method_id": method.id}).status_code == 422
    assert n_explanations(make) == 0


def test_an_unknown_method_is_refused_and_nothing_is_stored(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("alice")
    make.session.commit()
    assert client.post(ADDRESS, data={"text": "cats", "method_id": 99999}).status_code == 404
    assert n_explanations(make) == 0


def test_while_the_neuron_runs_with_that_method_the_text_is_not_taken(
    client: TestClient, make: Make, neuron: Neuron, method: Method, log_in_as: LogIn
) -> None:
    log_in_as("alice")
    make.session.commit()
    client.post("/tiny/1/2/runs", data={"method_id": method.id})
    answer = client.post(ADDRESS, data={"text": "cats", "method_id": method.id})
    assert answer.status_code == 409
    assert "try again" in answer.text
    assert n_explanations(make) == 0


def test_the_form_allows_as_many_characters_as_the_program(
    client: TestClient, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    form = client.get("/tiny/1/2").text.split('id="own-text"')[1]
    assert re.findall(r'maxlength="(\d+)"', form)[0] == str(LONGEST_EXPLANATION)


def test_markup_in_a_persons_text_is_escaped(
    client: TestClient, neuron: Neuron, method: Method, log_in_as: LogIn
) -> None:
    log_in_as("alice")
    client.post(ADDRESS, data={"text": "<img src=x>", "method_id": method.id})
    assert "<img" not in client.get("/tiny/1/2").text
