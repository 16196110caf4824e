"""What a batch will cost, before it is queued; and its cap."""

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.localization.formats import ENGLISH
from app.models import Batch, Method, Provider, Subject
from tests.factories import Make, texts
from tests.web.conftest import Context, LogIn


@pytest.fixture
def subject(make: Make) -> Subject:
    """A subject with three neurons, each with top records, two of which choose and two score."""
    subject = make.subject()
    for index in range(3):
        make.sample(make.neuron(subject, index=index), subject, rows=[(0.0, 4.0)] * 8, token_ids=texts(8, 2))
    return subject


@pytest.fixture
def paid(make: Make) -> Method:
    """A method that asks a provider with prices."""
    method = make.method("asks")
    method.provider, method.explainer, method.simulator = "paid", "highlighted", "structured"
    make.session.add(Provider(name="paid", kind="openai_compatible", model="m", price_in=1.0, price_out=4.0))
    make.session.flush()
    return method


def form(method: Method, **more: str) -> dict[str, str]:
    return {"method_id": str(method.id), "n_neurons": "3", **more}


def caps(make: Make) -> list[float | None]:
    return list(make.session.scalars(select(Batch.price_cap)))


def test_the_confirmation_shows_calls_tokens_price_and_time(
    client: TestClient, subject: Subject, paid: Method, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    html = client.get(f"/tiny/queue?all=true&method={paid.id}").text
    needed = context().estimate
    assert (needed.n_neurons, needed.calls, needed.n_known) == (3, 3 * 5, 0)
    assert needed.price > 0
    for fact in ("about 15", ENGLISH.money(needed.price), "no run of it has succeeded yet", 'name="price_cap"'):
        assert fact in html


def test_neurons_that_are_skipped_cost_nothing(
    client: TestClient, make: Make, subject: Subject, paid: Method, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    client.post("/tiny/0/0/runs", data={"method_id": paid.id})
    client.get(f"/tiny/queue?all=true&method={paid.id}")
    assert context().estimate.n_neurons == 2


def test_a_method_without_a_language_model_has_neither_price_nor_cap(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    html = client.get(f"/tiny/queue?all=true&method={make.method().id}").text
    assert context().estimate is None
    assert "price_cap" not in html


@pytest.mark.parametrize(("typed", "cap"), [("", None), ("  ", None), ("2.50", 2.5), ("2,5", 2.5), ("0", 0.0)])
def test_the_cap_is_kept_with_the_batch(
    client: TestClient, make: Make, subject: Subject, paid: Method, log_in_as: LogIn, typed: str, cap: float | None
) -> None:
    log_in_as("olga")
    assert client.post("/tiny/queue", data=form(paid, price_cap=typed)).status_code == 303
    assert caps(make) == [cap]


@pytest.mark.parametrize("typed", ["much", "-1", "nan", "inf", "1e999", "1" * 50])
def test_what_is_no_amount_is_refused(
    client: TestClient, make: Make, subject: Subject, paid: Method, log_in_as: LogIn, typed: str
) -> None:
    log_in_as("olga")
    assert client.post("/tiny/queue", data=form(paid, price_cap=typed)).status_code == 422
    assert caps(make) == []


def test_a_cap_is_not_forgotten_when_the_number_of_neurons_has_changed(
    client: TestClient, subject: Subject, paid: Method, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    answer = client.post("/tiny/queue", data={**form(paid, price_cap="2.5"), "n_neurons": "2"})
    assert answer.status_code == 409
    assert 'value="2.5"' in answer.text


def test_the_batch_shows_what_is_spent_of_its_cap(
    client: TestClient, make: Make, subject: Subject, paid: Method, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    address = client.post("/tiny/queue", data=form(paid, price_cap="2.5")).headers["location"]
    batch = make.session.scalars(select(Batch)).one()
    batch.spent = 0.123
    make.session.flush()
    html = " ".join(client.get(address).text.split())
    assert (context().batch.spent, context().batch.price_cap) == (0.123, 2.5)
    assert "Spent 0.12 of at most 2.50" in html
    assert "estimated" not in html
    batch.spent, batch.spent_estimated = 2.0, 1.5
    make.session.flush()
    assert "1.50 of it estimated: the endpoint reported no token counts" in " ".join(client.get(address).text.split())
