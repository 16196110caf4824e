"""Many explanations at once: the number is confirmed, the act is one event, and one undo takes it back."""

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.review import ItemState
from app.models import Event, Flag, Neuron, ReviewItem, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from tests.factories import Make
from tests.web.conftest import Context, LogIn


@pytest.fixture
def subject(make: Make) -> Subject:
    """Four explained neurons and one without an explanation."""
    subject = make.subject()
    for layer in (0, 1):
        for index in (0, 1):
            make.explained(make.neuron(subject, layer, index), f"fires on {layer} {index}", 0.2 + layer / 2)
    make.neuron(subject, 1, 2)
    return subject


def n_events(make: Make) -> int:
    make.session.flush()
    return make.session.scalar(select(func.count()).select_from(Event)) or 0


def test_all_that_match_are_flagged_and_the_flags_withdrawn_by_one_undo(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    assert "2 explanations" in client.get("/tiny/bulk?all=true&layer=1&method=7").text
    before = n_events(make)
    sent = {"n_explanations": "2", "filters": "layer=1", "reason": "too_broad", "note": "all of layer 1"}
    answer = client.post("/tiny/bulk/flag", data=sent)
    done = answer.headers["location"]
    assert "2 explanations flagged" in client.get(done).text
    assert n_events(make) == before + 1
    assert make.session.scalars(select(Flag.reason)).all() == ["too_broad"] * 2
    client.post(f"{done}/withdraw")
    make.session.expire_all()
    assert set(make.session.scalars(select(ReviewItem.state))) == {ItemState.WITHDRAWN}
    assert set(make.session.scalars(select(Neuron.n_open_flags))) == {0}
    assert n_events(make) == before + 2
    assert client.post(f"{done}/withdraw").status_code == 409
    assert "withdrawn" in client.get("/flags?state=resolved").text.lower()


def test_a_number_that_has_changed_is_confirmed_again(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    sent = {"n_explanations": "1", "filters": "layer=1", "reason": "wrong"}
    answer = client.post("/tiny/bulk/flag", data=sent)
    assert answer.status_code == 409
    assert "has changed" in answer.text
    assert make.session.scalars(select(Flag)).all() == []


def test_ticked_neurons_are_added_to_a_campaign_and_taken_out(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("alice")
    first, *others = make.session.scalars(select(Neuron).order_by(Neuron.id)).all()
    campaign_id = create_campaign(
        make.session,
        name="Some",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?"),
        wanted=SampleWanted(NeuronSelection.of(subject.id, [first.id]), 1),
        account_id=None,
        seed=1,
    )
    ids = [neuron.id for neuron in others]
    page = client.get("/tiny/bulk", params={"neuron": ids})
    assert context().n_explanations == 3  # one of the four has none
    assert "Some" in page.text
    sent = {"n_explanations": "3", "neuron": ids, "campaign_id": str(campaign_id)}
    done = client.post("/tiny/bulk/campaign", data=sent).headers["location"]
    items = make.session.scalars(select(ReviewItem).where(ReviewItem.source == "filter")).all()
    assert len(items) == 3
    assert client.post("/tiny/bulk/campaign", data=sent).status_code == 409  # all of them are there
    client.post(f"{done}/withdraw")
    assert "3 items taken out again" in client.get(done).text


def test_nothing_chosen_is_said(client: TestClient, subject: Subject, log_in_as: LogIn) -> None:
    log_in_as("olga")
    assert client.get("/tiny/bulk").status_code == 422
    assert client.get("/tiny/bulk?all=true&state=unexplained").status_code == 422
    assert client.get("/draws/99999").status_code == 404


def test_readers_may_not(client: TestClient, subject: Subject, log_in_as: LogIn) -> None:
    log_in_as("charlie")
    assert client.get("/tiny/bulk?all=true").status_code == 403
    assert "/tiny/bulk" not in client.get("/tiny").text
