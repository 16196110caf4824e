"""Where a text to try comes from, what its result says, and which neurons fire on it."""

import uuid

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.trials import FiringNeuron, FiringResult, TrialResult
from app.domain.work import FIRING, TRIAL, Lane
from app.models import Neuron, Subject, Task
from app.work.begin import Taker, begin_task
from app.work.lease import finish
from tests.factories import Make
from tests.web.conftest import HTMX, Context, LogIn

ADDRESS = "/tiny/1/2/try"


@pytest.fixture
def neuron(make: Make, subject: Subject) -> Neuron:
    neuron = make.neuron(subject, layer=1, index=2, max=4.0)
    make.sample(neuron, subject, rows=((0.0, 4.0, 0.0), (1.0, 0.0, 0.0)), token_ids=((0, 4, 5), (1, 2, 3)))
    return neuron


def result_of(make: Make, kind: str, result: TrialResult | FiringResult) -> None:
    """What a worker does with the task that is next."""
    taker = Taker(uuid.uuid4(), uuid.uuid4(), 60)
    lease = begin_task(make.session, taker=taker, lane=Lane.INTERACTIVE, kinds=[kind])
    assert lease is not None
    assert finish(make.session, lease=lease, result=result.as_json())
    make.session.expire_all()


def tried(activations: list[float], expected: list[float] | None = None) -> TrialResult:
    unit, simulator = (None, None) if expected is None else (0.4, "lexical")
    return TrialResult([0, 4], activations, expected, None, 0.1, unit, simulator)


def test_a_text_starts_from_an_excerpt(client: TestClient, neuron: Neuron, log_in_as: LogIn, context: Context) -> None:
    log_in_as("charlie")
    html = client.get(ADDRESS).text
    assert [(start.peak, start.around) for start in context().excerpts] == [(4.0, "the import"), (1.0, "cat sat on")]
    link = f"{ADDRESS}?excerpt={context().excerpts[0].excerpt_id}"
    assert f'href="{link}"' in html
    assert "\n the import\n</textarea>" in client.get(link).text
    assert client.get(f"{ADDRESS}?excerpt=999999").status_code == 404


@pytest.mark.parametrize(
    ("activations", "sentence"),
    [
        ([0.0, 3.0], "It fires strongly on this text: 3 at most, on <code>import</code>, 75.0% of its maximum"),
        ([1.0, 0.0], "It fires weakly on this text: 1 at most, on <code>the</code>, 25.0% of its maximum"),
        ([-0.5, -0.1], "It hardly fires on this text: −0.10 at most, on <code>import</code>"),
    ],
)
def test_the_result_is_one_sentence(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, activations: list[float], sentence: str
) -> None:
    log_in_as("charlie")
    address = client.post(ADDRESS, data={"text": " the import"}).headers["location"]
    result_of(make, TRIAL.name, tried(activations, [0.0, 5.0]))
    html = " ".join(client.get(address).text.split())
    assert sentence in html
    assert "the explanation expects" in html


def test_the_last_texts_of_a_person_are_kept_each_once(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("charlie")
    for text in ("one", "two", "one"):
        client.post(ADDRESS, data={"text": text})
        result_of(make, TRIAL.name, tried([0.0, float(len(text))]))
    client.get(ADDRESS)
    assert [(text.text, text.peak) for text in context().last] == [("one", 3.0), ("two", 3.0)]
    log_in_as("bob")
    client.get(ADDRESS)
    assert context().last == ()


def test_the_neurons_that_fire_on_a_text_are_queued_and_listed(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, log_in_as: LogIn, context: Context
) -> None:
    make.explained(neuron, 'fires on " import"')
    log_in_as("charlie")
    sent = client.post("/tiny/firing", data={"text": " the import"})
    address = sent.headers["location"]
    assert address.startswith("/tiny/firing?trial=")
    waiting = client.get(address.partition("#")[0], headers=HTMX).text
    assert 'hx-trigger="every' in waiting
    assert "No worker has been seen" in waiting

    found = [FiringNeuron(1, 2, 3.0, 1, 0.75), FiringNeuron(0, 1, 1.0, 0, 0.5)]
    result_of(make, FIRING.name, FiringResult([0, 4], found, 7, 0.2))

    html = client.get(address.partition("#")[0]).text
    rows = [(row.layer, row.index, row.share, row.token, row.explanation) for row in context().rows]
    assert rows == [(1, 2, 0.75, "import", 'fires on " import"'), (0, 1, 0.5, "the", None)]
    assert 'href="/tiny/1/2"' in html
    assert "of 7 compared" in html
    assert " the import</textarea>" in html


def test_only_who_may_try_texts_finds_neurons_by_them(client: TestClient, make: Make, subject: Subject) -> None:
    assert client.post("/tiny/firing", data={"text": "x"}).status_code == 401
    assert "Log in" in client.get("/tiny/firing").text
    assert client.get("/none/firing").status_code == 404
    assert client.get("/tiny/firing?trial=1").status_code == 404


def test_an_empty_text_is_refused(client: TestClient, make: Make, subject: Subject, log_in_as: LogIn) -> None:
    log_in_as("charlie")
    assert client.post("/tiny/firing", data={"text": " \n "}).status_code == 422
    assert client.post("/tiny/firing", data={"text": "x" * 1001}).status_code == 422
    assert make.session.scalars(select(Task)).all() == []
