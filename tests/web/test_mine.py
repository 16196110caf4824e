"""The outcomes of what a person did: one's own page, and the news about it."""

import uuid

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.models import Account, Flag, News, Run
from app.queries.people.news import end_batches
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.judging import send_back
from app.queries.review.taking import Reviewer
from app.work.begin import Taker, begin_run
from app.work.enqueue import cancel_batch, enqueue_batch, retry_run
from app.work.lease import fail
from tests.factories import Make
from tests.web.conftest import Context, LogIn


@pytest.fixture
def charlie(log_in_as: LogIn) -> Account:
    """A reader, who is logged in."""
    return log_in_as("charlie")


def flagged(make: Make, by: Account, index: int = 0) -> int:
    """A flag against a neuron's only explanation."""
    subject = make.subject(slug=f"tiny{index}")
    explanation_id = make.explained(make.neuron(subject, index=1), "fires on cats")
    return open_flag(make.session, explanation_id=explanation_id, account_id=by.id, reason="wrong", note="")


def settle(make: Make, flag_id: int, kind: str, by: str = "dora") -> int:
    reviewer = Reviewer(make.account(by, "reviewer").id)
    judged = resolve_flag(make.session, flag_id=flag_id, reviewer=reviewer, kind=kind, note="")
    make.session.flush()
    return judged.item_id


def queued(make: Make, by: Account) -> int:
    subject = make.subject(slug="queued")
    neuron = make.neuron(subject)
    batch = enqueue_batch(
        make.session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=make.method().id, account_id=by.id
    )
    make.session.flush()
    return batch.batch_id


def test_a_visitor_without_an_account_has_no_such_page(client: TestClient) -> None:
    assert client.get("/mine").status_code == 401


def test_the_first_page_offers_to_continue_once_there_is_something(
    client: TestClient, make: Make, charlie: Account
) -> None:
    assert "Continue" not in client.get("/").text
    settle(make, flagged(make, charlie), "wrong")
    page = client.get("/").text
    assert "Continue" in page
    assert "1 piece of news" in page


def test_a_person_who_did_nothing_is_told_what_will_be_here(client: TestClient, charlie: Account) -> None:
    page = client.get("/mine").text
    assert "nothing new since your last visit" in page
    assert "You have flagged nothing yet" in page


def test_who_flagged_sees_what_became_of_it(client: TestClient, make: Make, charlie: Account, context: Context) -> None:
    flag_id = flagged(make, charlie)
    assert "1 new" not in client.get("/methods").text
    settle(make, flag_id, "wrong")
    assert ">1<" in client.get("/methods").text.partition('class="count"')[2][:120]
    page = client.get("/mine").text
    (item,) = context().news
    assert item.is_new
    assert (item.flag.flag_id, item.flag.verdict, item.flag.needs_explanation) == (flag_id, "upheld", True)
    assert "the neuron needs an explanation now" in page
    assert [flag.id for flag in context().flags] == [flag_id]


def test_news_are_new_until_they_are_seen(client: TestClient, make: Make, charlie: Account, context: Context) -> None:
    settle(make, flagged(make, charlie), "holds")
    client.get("/mine")
    newest = context().newest_id
    client.get("/mine")
    assert context().n_new == 1  # to look changes nothing: a browser may load a page ahead
    settle(make, flagged(make, charlie, index=1), "holds", by="erik")  # in the meantime
    assert client.post("/mine/seen", data={"newest_id": str(newest)}).headers["location"] == "/mine"
    client.get("/mine")
    assert [item.is_new for item in context().news] == [True, False]
    client.post("/mine/seen", data={"newest_id": "99999999"})
    client.post("/mine/seen", data={"newest_id": "0"})
    client.get("/mine")
    assert context().n_new == 0


def test_who_settles_a_flag_is_not_told_of_it_and_all_who_flagged_are(make: Make) -> None:
    alice, bob = make.account("alice"), make.account("bob", "reviewer")
    flag_id = flagged(make, alice)
    same = make.session.get_one(Flag, flag_id).explanation_id
    open_flag(make.session, explanation_id=same, account_id=bob.id, reason="too_broad", note="")
    settle(make, flag_id, "holds")
    assert set(make.session.scalars(select(News.account_id))) == {alice.id, bob.id}


def test_a_flag_that_is_opened_again_is_news_when_it_is_settled_again(
    client: TestClient, make: Make, charlie: Account, context: Context
) -> None:
    item_id = settle(make, flagged(make, charlie), "wrong")
    send_back(make.session, item_id=item_id, account_id=make.account("frank").id, note="")
    make.session.flush()
    client.get("/mine")
    assert context().news[0].flag.verdict is None
    assert "is open again" in client.get("/mine").text


def test_a_batch_that_has_ended_is_news_once(
    client: TestClient, make: Make, charlie: Account, context: Context
) -> None:
    batch_id = queued(make, charlie)
    end_batches(make.session)
    client.get("/mine")
    assert context().news == ()
    lease = begin_run(make.session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
    assert lease is not None
    fail(make.session, lease=lease, error="broken")
    for _ in range(3):
        end_batches(make.session)
    client.get("/mine")
    assert [item.batch.batch_id for item in context().news] == [batch_id]
    run_id = make.session.scalars(select(Run.id)).one()
    retry_run(make.session, run_id=run_id, account_id=charlie.id)
    end_batches(make.session)
    cancel_batch(make.session, batch_id=batch_id, account_id=charlie.id)
    end_batches(make.session)
    client.get("/mine")
    assert len(context().news) == 2


def test_lists_of_flags_and_batches_show_one_persons(
    client: TestClient, make: Make, charlie: Account, context: Context
) -> None:
    flag_id, batch_id = flagged(make, charlie), queued(make, charlie)
    flagged(make, make.account("erik", "viewer"), index=1)
    client.get("/flags?state=all&by=charlie")
    assert [flag.id for flag in context().flags] == [flag_id]
    client.get("/batches?by=charlie")
    assert [batch.id for batch in context().batches] == [batch_id]
    client.get("/batches?by=nobody")
    assert context().batches == ()
