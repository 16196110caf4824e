"""Reviewing in the browser's words: forms, redirects, what is hidden and when it is shown."""

import re
from typing import Any

import pytest
from sqlalchemy import select, text
from starlette.testclient import TestClient

from app.domain.review import Participants
from app.domain.samples import SampleKind
from app.models import Account, Flag, ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules, change_rules, end_campaign
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.taking import Reviewer, take_next
from tests.factories import Make
from tests.web.conftest import HTMX, Context, LogIn

QUESTION = "Does it say what this neuron fires on?"


@pytest.fixture
def campaign_id(make: Make) -> int:
    """Three explained neurons with evidence, two verdicts each, blind."""
    return campaign(make)


def campaign(make: Make, **rules: Any) -> int:
    subject = make.subject()
    for index in range(3):
        neuron = make.neuron(subject, index=index)
        make.sample(neuron, subject, SampleKind.TOP, [(0.0, 4.0, 0.1), (0.2, 3.0, 0.0)], [[1, 4, 2], [5, 4, 3]])
        make.sample(neuron, subject, SampleKind.BAND_0, [(0.0, 0.1, 0.0)], [[7, 2, 1]])
        make.explained(neuron, f"fires on <b>{index}</b>", 0.123)
    return create_campaign(
        make.session,
        name="First look",
        subject_id=subject.id,
        rules=CampaignRules(QUESTION, "Read all.", **rules),
        wanted=SampleWanted(NeuronSelection(subject.id), 3),
        account_id=None,
        seed=1,
    )


def take(client: TestClient, campaign_id: int) -> str:
    """The address of the next item."""
    return str(client.post(f"/campaigns/{campaign_id}/next").headers["location"])


def token(client: TestClient, address: str) -> str:
    found = re.search(r'name="lease_token" value="([^"]+)"', client.get(address).text)
    assert found is not None
    return found[1]


def judge(client: TestClient, address: str, kind: str = "holds", **more: str) -> Any:
    lease = token(client, address)
    client.post(f"{address}/guess", data={"lease_token": lease, "guess": "cats"})
    return client.post(f"{address}/verdict", data={"lease_token": lease, "kind": kind, **more})


def test_evidence_comes_before_the_text_and_nothing_tells_whose_it_is(
    client: TestClient, campaign_id: int, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    page = client.get(address).text
    assert "Fires strongly" in page
    assert "Hardly fires" in page
    assert "fires on &lt;" not in page
    lease = token(client, address)
    client.post(f"{address}/guess", data={"lease_token": lease, "guess": "cats"})
    shown = client.get(address).text
    assert "fires on &lt;b&gt;" in shown
    for hidden in ("alice", "0.12", "tiny", "/0/"):
        assert hidden not in shown.split("<main")[1].split("</main>")[0], hidden
    assert context().guess == "cats"
    told = client.get(f"{address}.json").json()
    assert not {"explanation_id", "neuron_id", "control", "source", "author"} & set(told)


def test_a_verdict_shows_the_next_item_until_none_is_left(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    for _ in range(2):
        answer = judge(client, address)
        assert answer.status_code == 303
        assert answer.headers["location"] != address
        address = answer.headers["location"]
    assert "Nothing is left for you" in judge(client, address).text
    assert len(make.session.scalars(select(ReviewVerdict)).all()) == 3
    page = client.get(f"/campaigns/{campaign_id}").text
    assert "Judged by you" in page


def test_the_page_of_a_campaign_moves_with_each_verdict(
    client: TestClient, campaign_id: int, log_in_as: LogIn, context: Context
) -> None:
    """Two verdicts settle an item: with one, nothing else would move."""
    log_in_as("bob")
    address = take(client, campaign_id)
    seen = []
    for kind in ("holds", "wrong"):
        client.get(f"/campaigns/{campaign_id}")
        seen.append((context().n_verdicts, context().campaign.counts.settled))
        address = judge(client, address, kind).headers["location"]
    assert seen == [(0, 0), (1, 0)]
    assert re.search(r"<dt>\s*Verdicts\s*</dt>\s*<dd[^>]*>\s*2", client.get(f"/campaigns/{campaign_id}").text)


def test_htmx_gets_the_next_item_alone_with_its_address(
    client: TestClient, campaign_id: int, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    lease = token(client, address)
    answer = client.post(f"{address}/verdict", data={"lease_token": lease, "kind": "wrong"}, headers=HTMX)
    assert answer.text.lstrip().startswith("<article")
    assert answer.headers["HX-Push-Url"] == f"/review/{context().slot_id}"
    assert context().last.kind == "wrong"


def test_another_verdict_on_what_was_judged_is_refused_with_the_first(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn, context: Context
) -> None:
    """A second window shows an item that was judged in the first."""
    log_in_as("bob")
    address = take(client, campaign_id)
    sent = {"lease_token": token(client, address), "kind": "holds", "note": "clear"}
    client.post(f"{address}/guess", data={"lease_token": sent["lease_token"]})
    following = client.post(f"{address}/verdict", data=sent).headers["location"]
    other = client.post(f"{address}/verdict", data=sent | {"kind": "wrong"})
    assert other.status_code == 409
    assert context().stored == "holds"
    assert "You have judged this item already" in other.text
    assert "Next item" in other.text
    again = client.post(f"{address}/verdict", data=sent)
    assert (again.status_code, again.headers["location"]) == (303, following)
    assert len(make.session.scalars(select(ReviewVerdict)).all()) == 1


def test_an_item_is_taken_ahead_and_its_verdict_leaves_a_line_to_undo(
    client: TestClient, campaign_id: int, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    slot = int(address.rsplit("/", 1)[1])
    client.post(f"/campaigns/{campaign_id}/next?besides={slot}", headers=HTMX)
    second = context().slot_id
    assert second != slot
    lease = token(client, address)
    sent = {"lease_token": lease, "kind": "holds"}
    answer = client.post(f"{address}/verdict?ahead={second}", data=sent, headers=HTMX)
    assert answer.text.lstrip().startswith('<div id="_after"')
    assert "undo" in answer.text
    assert "<b>1</b> of 3 items judged by you" in answer.text
    third = context().item.slot_id
    assert len({slot, second, third}) == 3
    sent = {"lease_token": token(client, f"/review/{second}"), "kind": "holds"}
    last = client.post(f"/review/{second}/verdict?ahead={third}", data=sent, headers=HTMX)
    assert 'id="_item"' not in last.text  # nothing is left to be taken ahead


def test_a_verdict_is_stored_where_its_reviewer_may_take_no_more(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn
) -> None:
    alice = log_in_as("alice")
    log_in_as("bob")
    address = take(client, campaign_id)
    lease = token(client, address)
    named = CampaignRules(QUESTION, "Read all.", participants=Participants.NAMED, account_ids=(alice.id,))
    change_rules(make.session, campaign_id=campaign_id, rules=named, account_id=alice.id)
    make.session.flush()
    answer = client.post(f"{address}/verdict", data={"lease_token": lease, "kind": "holds"})
    assert "Nothing is left for you" in answer.text
    assert len(make.session.scalars(select(ReviewVerdict)).all()) == 1


def test_a_verdict_that_comes_too_late_is_kept_to_be_sent_again(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    lease = token(client, address)
    make.session.execute(text("UPDATE review_slot SET lease_until = now() - interval '1 s' WHERE state = 'held'"))
    sent = {"lease_token": lease, "kind": "too_broad", "confidence": "high", "note": "also <dogs>"}
    answer = client.post(f"{address}/verdict", data=sent)
    assert answer.status_code == 409
    assert "also &lt;dogs&gt;" in answer.text
    assert "Partly: too broad" in answer.text
    item_id = re.search(r'action="/items/(\d+)/take"', answer.text)[1]  # type: ignore[index]  # the page has one
    again = client.post(f"/items/{item_id}/take", data={"kind": "too_broad", "confidence": "high", "note": "x"})
    assert again.status_code == 200
    assert make.session.scalars(select(ReviewVerdict)).all() == []


def test_skip_gives_another_item(client: TestClient, campaign_id: int, log_in_as: LogIn) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    answer = client.post(f"{address}/skip", data={"lease_token": token(client, address)})
    assert answer.headers["location"] != address


@pytest.mark.parametrize("done", ["verdict", "skip"])
def test_the_last_renewal_of_a_page_may_come_after_what_it_sent(
    client: TestClient, campaign_id: int, log_in_as: LogIn, done: str
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    lease = token(client, address)
    assert client.post(f"{address}/{done}", data={"lease_token": lease, "kind": "holds"}).status_code == 303
    assert client.post(f"{address}/renew", data={"lease_token": lease}).status_code == 204
    log_in_as("alice")
    assert client.post(f"{address}/renew", data={"lease_token": lease}).status_code == 409


@pytest.mark.parametrize("is_blind", [True, False])
def test_neighbours_are_reached_only_where_the_campaign_is_not_blind(
    client: TestClient, make: Make, log_in_as: LogIn, is_blind: bool
) -> None:
    log_in_as("bob")
    page = client.get(take(client, campaign(make, is_blind=is_blind))).text
    assert ("previous neuron" in page or "next neuron" in page) is not is_blind


def test_undo_shows_the_item_with_what_was_typed(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("bob")
    judge(client, take(client, campaign_id), "too_narrow", note="cats only")
    verdict_id = make.session.scalars(select(ReviewVerdict.id)).one()
    client.post(f"/verdicts/{verdict_id}/undo", headers=HTMX)
    assert (context().typed.kind, context().typed.note, context().guess) == ("too_narrow", "cats only", "cats")


def test_others_verdicts_are_shown_once_ones_own_is_in(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn
) -> None:
    log_in_as("bob")
    judge(client, take(client, campaign_id), "wrong", note="no cats here")
    item_id = make.session.scalars(select(ReviewVerdict.item_id)).one()
    assert "no cats here" in client.get(f"/items/{item_id}").text
    log_in_as("alice")
    assert client.get(f"/items/{item_id}").status_code == 409
    end_campaign(make.session, campaign_id=campaign_id, account_id=_id(make, "alice"))
    make.session.flush()
    ended = client.get(f"/items/{item_id}").text
    assert "no cats here" in ended
    assert 'href="/tiny/0/' in ended


@pytest.mark.parametrize("what", ["items/{item_id}.json", "campaigns/{campaign_id}.json"])
def test_programs_learn_no_more_of_an_item_than_its_page_says(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn, what: str
) -> None:
    """Its neuron leads to its score, and a planted text is a control's."""
    for name in ("bob", "alice"):
        log_in_as(name)
        item_id = make.session.scalars(select(ReviewItem.id).order_by(ReviewItem.position, ReviewItem.id)).first()
        judge(client, take(client, campaign_id), "wrong")
    address = "/" + what.format(item_id=item_id, campaign_id=campaign_id)

    def items() -> list[dict[str, Any]]:
        page = client.get(address).json()
        return [page["item"]] if "item" in page else page["settled"]

    (item,) = items()
    assert item["outcome"] == "fails"
    assert item["origin"] is None
    assert not {"slug", "layer", "index", "explanation_id", "source", "control", "is_planted"} & set(item)
    end_campaign(make.session, campaign_id=campaign_id, account_id=_id(make, "alice"))
    make.session.flush()
    (item,) = items()
    assert (item["origin"]["slug"], item["origin"]["control"]) == ("tiny", None)


def test_a_flag_that_was_ticked_is_opened_with_the_verdicts_reason(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn
) -> None:
    log_in_as("bob")
    judge(client, take(client, campaign_id), "too_broad", note="also dogs", flag="yes")
    flag = make.session.scalars(select(Flag)).one()
    assert (flag.reason, flag.note) == ("too_broad", "also dogs")
    assert make.session.get_one(ReviewItem, flag.item_id).source == "flag"


def test_one_who_does_not_hold_an_item_does_not_see_it(
    client: TestClient, make: Make, campaign_id: int, log_in_as: LogIn
) -> None:
    make.account("dora", "reviewer")
    slot = take_next(make.session, campaign_id=campaign_id, reviewer=Reviewer(_id(make, "dora")))
    assert slot is not None
    log_in_as("bob")
    assert client.get(f"/review/{slot.id}").status_code == 409
    sent = {"lease_token": str(slot.lease_token), "kind": "holds"}
    assert client.post(f"/review/{slot.id}/verdict", data=sent).status_code == 409
    assert make.session.get_one(ReviewSlot, slot.id).state == "held"


@pytest.mark.parametrize(
    "sent",
    [{"kind": ""}, {"kind": "perhaps"}, {"kind": "holds", "confidence": "very"}, {"kind": "holds", "note": "\0"}],
)
def test_what_cannot_be_a_verdict_is_refused(
    client: TestClient, campaign_id: int, log_in_as: LogIn, sent: dict[str, str]
) -> None:
    log_in_as("bob")
    address = take(client, campaign_id)
    answer = client.post(f"{address}/verdict", data={"lease_token": token(client, address), **sent})
    assert answer.status_code == 422


def test_flags_are_judged_on_the_same_page_with_the_complaint_in_view(
    client: TestClient, make: Make, log_in_as: LogIn, context: Context
) -> None:
    from app.queries.review.campaigns import standing_campaign_id
    from app.queries.review.flags import open_flag

    subject = make.subject()
    explanation = make.explained(make.neuron(subject), "fires on cats")
    charlie = make.account("dora", "viewer")
    open_flag(make.session, explanation_id=explanation, account_id=charlie.id, reason="wrong", note="it is dogs")
    log_in_as("bob")
    address = take(client, standing_campaign_id(make.session))
    page = client.get(address).text
    assert "it is dogs" in page
    assert "fires on cats" in page
    assert (
        "Nothing is left"
        in client.post(f"{address}/verdict", data={"lease_token": token(client, address), "kind": "wrong"}).text
    )


def _id(make: Make, name: str) -> int:
    return make.session.scalars(select(Account.id).where(Account.name == name)).one()
