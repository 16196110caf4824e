"""Every route that changes something leaves one line in the history, and only for this site's own pages."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.roles import TokenScope
from app.models import Account, Campaign, Event
from app.queries.people.accounts import disable_account
from app.queries.people.api_tokens import api_tokens_of, create_api_token
from app.queries.people.logins import start_session
from app.queries.people.sessions import sessions_of
from app.queries.review.flags import open_flag
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import Reviewer, take_next
from app.web.main import ROUTERS
from app.work.enqueue import cancel_run
from app.work.tasks import cancel_task
from tests.factories import Make
from tests.web.conftest import LogIn
from tests.web.everything import MUTATIONS, Mutation, kept, one_of_everything

NOT_OURS = {
    "/login", "/login/password", "/logout", "/account/confirm",
    "/account/factor", "/account/factor/remove",
}  # fmt: skip
"""Tested separately: they change a session and not the data, or take a code (test_second_factor.py)."""


@pytest.fixture
def things(make: Make) -> dict[str, Any]:
    """One of everything that an address can name."""
    return one_of_everything(make)


def send(client: TestClient, mutation: Mutation, things: dict[str, Any]) -> int:
    form = {name: value.format(**things) for name, value in mutation.form.items()}
    return client.post(mutation.path.format(**things), data=form, headers={"Sec-Fetch-Site": "same-origin"}).status_code


def test_the_table_lists_every_route_that_changes_something() -> None:
    def plain(path: str) -> str:
        return re.sub(r":\w+}", "}", path)

    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    changing = {plain(route.path) for route in routes if not (route.methods or set()) <= {"GET", "HEAD"}}
    assert changing - NOT_OURS == {m.path for m in MUTATIONS}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.path)
def test_another_site_is_refused(
    client: TestClient, make: Make, things: dict[str, Any], log_in_as: LogIn, mutation: Mutation
) -> None:
    log_in_as("alice")
    answer = client.post(mutation.path.format(**things), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.path)
def test_who_may_leaves_a_line_in_the_history(
    client: TestClient, make: Make, things: dict[str, Any], log_in_as: LogIn, mutation: Mutation
) -> None:
    log_in_as("alice")
    if mutation.event == "run.retried":
        cancel_run(make.session, run_id=things["run_id"], account_id=None)
    if mutation.event == "task.retried":
        cancel_task(make.session, task_id=things["task_id"], account_id=None)
    if mutation.event == "provider.enabled":
        things |= {"provider_id": things["disabled_id"]}
    if mutation.event == "account.enabled":
        disable_account(make.session, name="dora")
    if mutation.event == "flag.withdrawn":
        things |= {"flag_id": flagged(make, things["explanation_id"])}
    if mutation.path.startswith("/subjects/new/"):
        things |= {"task_id": things["inspection_id"]}
    make.session.flush()
    things |= owned_by_alice(make, mutation, things)
    newest = make.session.scalar(select(func.max(Event.id))) or 0
    assert send(client, mutation, things) in (200, 204, 303)
    left = make.session.scalars(select(Event.kind).where(Event.id > newest)).all()
    expected = () if mutation.event is None else (mutation.event, *mutation.further)
    assert sorted(left) == sorted(expected)


def owned_by_alice(make: Make, mutation: Mutation, things: dict[str, Any]) -> dict[str, Any]:
    """What nobody but its owner may change."""
    if mutation.path.startswith("/account/"):
        return owned(make)
    if mutation.path.startswith(("/lists", "/searches/", "/{slug}/lists")):
        alice = make.session.scalars(select(Account.id).where(Account.name == "alice")).one()
        return kept(make, things["slug"], things["neuron"], alice)
    if mutation.path.startswith(("/items", "/review", "/verdicts")):
        return reviewed(make, mutation)
    return {}


def flagged(make: Make, explanation_id: int) -> int:
    """A flag of alice's."""
    alice = make.session.scalars(select(Account.id).where(Account.name == "alice")).one()
    return open_flag(make.session, explanation_id=explanation_id, account_id=alice, reason="wrong", note="")


def owned(make: Make) -> dict[str, Any]:
    """Another session of alice, and a token of hers."""
    alice = make.session.scalars(select(Account).where(Account.name == "alice")).one()
    start_session(make.session, account_id=alice.id, days=1, agent="another browser")
    create_api_token(make.session, account_id=alice.id, name="nightly", scope=TokenScope.READ, days=1)
    make.session.flush()
    others = sessions_of(make.session, account_id=alice.id, session_token=None)
    name = next(shown.name for shown in others if shown.agent == "another browser")
    (token,) = api_tokens_of(make.session, account_id=alice.id)
    return {"name": name, "token_id": token.id}


def reviewed(make: Make, mutation: Mutation) -> dict[str, Any]:
    """An item of a campaign that alice holds, has judged, or that was settled."""
    alice = Reviewer(make.session.scalars(select(Account.id).where(Account.name == "alice")).one(), True)
    campaign_id = make.session.scalars(select(Campaign.id).where(~Campaign.is_standing).order_by(Campaign.id)).first()
    slot = take_next(make.session, campaign_id=campaign_id or 0, reviewer=alice)
    assert slot is not None
    held = {"slot_id": slot.id, "item_id": slot.item_id, "lease_token": slot.lease_token}
    if mutation.event not in ("verdict.undone", "item.sent_back"):
        return held
    judged = give_verdict(
        make.session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=alice, judgement=Judgement("holds")
    )
    return {**held, "verdict_id": judged.verdict_id}
