"""Every route that changes something: who may, who may not, and that it leaves a line in the history."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.flags import FlagReason
from app.domain.review import ItemSource
from app.domain.roles import TokenScope
from app.models import Account, Campaign, Event, Run
from app.queries.explanations.standing import refresh_current
from app.queries.language_models.providers import add_provider
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import disable_account, start_session
from app.queries.people.api_tokens import api_tokens_of, create_api_token
from app.queries.people.sessions import sessions_of
from app.queries.review.campaigns import CampaignRules
from app.queries.review.flags import open_flag
from app.queries.review.items import ItemsWanted, SampleWanted, add_items, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import Reviewer, take_next
from app.web.main import ROUTERS
from app.work.enqueue import cancel_run, enqueue_batch
from app.work.tasks import cancel_task
from app.work.trials import enqueue_trial
from tests.factories import Make

LogIn = Callable[[str], Any]
NOT_OURS = {"/login", "/login/password", "/logout"}
"""Tested separately: they change a session, not the data."""


@dataclass(frozen=True)
class Mutation:
    """One route with what a person sends to it, and an account that is refused."""

    path: str
    event: str | None
    """None for leases: who holds what for five minutes changes nothing that is known."""
    refused: str | None
    form: dict[str, str]


MUTATIONS = (
    Mutation(
        "/{slug}/queue", "batch.queued", "charlie", {"neuron": "{neuron}", "n_neurons": "1", "method_id": "{method}"}
    ),
    Mutation(
        "/{slug}/bulk/flag",
        "flags.opened",
        "charlie",
        {"neuron": "{neuron}", "n_explanations": "1", "reason": "wrong"},
    ),
    Mutation(
        "/{slug}/bulk/campaign",
        "items.added",
        "charlie",
        {"neuron": "{neuron}", "n_explanations": "1", "campaign_id": "{other_campaign_id}"},
    ),
    Mutation("/draws/{draw_id}/withdraw", "items.withdrawn", "charlie", {}),
    Mutation("/{slug}/check", "task.queued", "charlie", {}),
    Mutation("/{slug}/{layer}/{index}/runs", "batch.queued", "charlie", {"method_id": "{method}"}),
    Mutation(
        "/{slug}/{layer}/{index}/explanations",
        "explanation.written",
        "charlie",
        {"text": "fires on cats", "method_id": "{method}"},
    ),
    Mutation(
        "/{slug}/{layer}/{index}/flags", "flag.opened", None, {"explanation_id": "{explanation}", "reason": "wrong"}
    ),
    Mutation("/{slug}/{layer}/{index}/try", "task.queued", None, {"text": " import os"}),
    Mutation("/{slug}/{layer}/{index}/try/warm-up", "task.queued", None, {}),
    Mutation(
        "/campaigns", "campaign.created", "charlie", {"subject": "{slug}", "name": "n", "question": "q", "n": "1"}
    ),
    Mutation("/campaigns/{campaign_id}/rules", "campaign.changed", "charlie", {"question": "another"}),
    Mutation("/campaigns/{campaign_id}/statements", "report.stated", "charlie", {"payer": "Nobody"}),
    Mutation("/campaigns/{campaign_id}/end", "campaign.ended", "charlie", {}),
    Mutation("/campaigns/{campaign_id}/model-review", "task.queued", "charlie", {"provider": "house", "n_items": "1"}),
    Mutation("/campaigns/{campaign_id}/next", None, "charlie", {}),
    Mutation("/items/{item_id}/take", None, "charlie", {}),
    Mutation("/items/{item_id}/send-back", "item.sent_back", "bob", {}),
    Mutation("/review/{slot_id}/guess", None, "charlie", {"lease_token": "{lease_token}"}),
    Mutation("/review/{slot_id}/renew", None, "charlie", {"lease_token": "{lease_token}"}),
    Mutation("/review/{slot_id}/skip", None, "charlie", {"lease_token": "{lease_token}"}),
    Mutation(
        "/review/{slot_id}/verdict", "verdict.given", "charlie", {"lease_token": "{lease_token}", "kind": "holds"}
    ),
    Mutation("/verdicts/{verdict_id}/undo", "verdict.undone", "charlie", {}),
    Mutation("/flags/{flag_id}/resolve", "verdict.given", "charlie", {"verdict": "wrong"}),
    Mutation("/explanations/{explanation_id}/replay", "batch.queued", "charlie", {}),
    Mutation("/batches/{batch_id}/cancel", "batch.cancelled", "charlie", {}),
    Mutation("/runs/{run_id}/cancel", "run.cancelled", "charlie", {}),
    Mutation("/runs/{run_id}/retry", "run.retried", "charlie", {}),
    Mutation("/tasks/{task_id}/cancel", "task.cancelled", "charlie", {}),
    Mutation("/tasks/{task_id}/retry", "task.retried", "charlie", {}),
    Mutation("/people", "account.added", "bob", {"name": "emil", "role": "reviewer"}),
    Mutation("/people/{account_id}/role", "account.role_changed", "bob", {"role": "reviewer"}),
    Mutation("/people/{account_id}/address", "account.invited", "bob", {}),
    Mutation("/people/{account_id}/disable", "account.disabled", "bob", {}),
    Mutation("/people/{account_id}/enable", "account.enabled", "bob", {}),
    Mutation("/account/password", "password.set", None, {"password": "four words in a row"}),
    Mutation("/account/sessions/{name}/end", "session.ended", None, {}),
    Mutation("/account/tokens", "token.created", None, {"name": "script", "scope": "read", "days": "1"}),
    Mutation("/account/tokens/{token_id}/revoke", "token.revoked", None, {}),
)


@pytest.fixture
def things(make: Make) -> dict[str, Any]:
    """One of everything that an address can name."""
    subject, method, other = make.subject(), make.method("lexical"), make.method("other")
    neuron = make.neuron(subject)
    explanation = make.explanation(neuron)
    reader = make.account("dora", "reader")
    queued = enqueue_batch(
        make.session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=other.id, account_id=reader.id
    )
    flag = open_flag(
        make.session, explanation_id=explanation.id, account_id=reader.id, reason=FlagReason.WRONG, note=""
    )
    run_id = make.session.scalars(select(Run.id).where(Run.batch_id == queued.batch_id)).one()
    made = make.explanation(neuron, "made by a method", method_id=method.id)
    refresh_current(make.session, neuron_id=neuron.id)
    campaign_id = create_campaign(
        make.session,
        name="First look",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?", verdicts_per_item=1),
        wanted=SampleWanted(NeuronSelection(subject.id), 1),
        account_id=reader.id,
        seed=0,
    )
    make.session.flush()
    texts = [make.explained(make.neuron(subject, index=index), f"fires on {index}") for index in (1, 2)]
    other_campaign_id = create_campaign(
        make.session,
        name="Another",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?"),
        wanted=ItemsWanted(ItemSource.FILTER, texts[:1]),
        account_id=reader.id,
        seed=0,
    )
    added = add_items(
        make.session,
        campaign_id=other_campaign_id,
        wanted=ItemsWanted(ItemSource.FILTER, texts[1:]),
        account_id=reader.id,
    )
    add_provider(make.session, name="house", values={"kind": "openai_compatible", "model": "m"})
    return {
        "slug": subject.slug,
        "layer": 0,
        "index": 0,
        "neuron": neuron.id,
        "method": method.id,
        "explanation": explanation.id,
        "flag_id": flag,
        "batch_id": queued.batch_id,
        "run_id": run_id,
        "task_id": enqueue_trial(
            make.session, neuron_id=neuron.id, explanation_id=None, account_id=reader.id, words="x"
        ),
        "explanation_id": made.id,
        "campaign_id": campaign_id,
        "other_campaign_id": other_campaign_id,
        "draw_id": added.draw_id,
        "slot_id": 1,
        "item_id": 1,
        "verdict_id": 1,
        "account_id": reader.id,
        "name": "0000000000000000",
        "token_id": 1,
        "lease_token": "00000000-0000-0000-0000-000000000000",
    }


def send(client: TestClient, mutation: Mutation, things: dict[str, Any]) -> int:
    form = {name: value.format(**things) for name, value in mutation.form.items()}
    return client.post(mutation.path.format(**things), data=form, headers={"Sec-Fetch-Site": "same-origin"}).status_code


def n_events(make: Make, kind: str | None = None) -> int:
    events = select(func.count()).select_from(Event)
    return make.session.scalar(events if kind is None else events.where(Event.kind == kind)) or 0


def test_the_table_lists_every_route_that_changes_something() -> None:
    def plain(path: str) -> str:
        return re.sub(r":\w+}", "}", path)

    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    changing = {plain(route.path) for route in routes if not (route.methods or set()) <= {"GET", "HEAD"}}
    assert changing - NOT_OURS == {m.path for m in MUTATIONS}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.path)
def test_who_is_not_logged_in_is_refused(
    client: TestClient, make: Make, things: dict[str, Any], mutation: Mutation
) -> None:
    before = n_events(make)
    assert send(client, mutation, things) == 401
    assert n_events(make) == before


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.refused], ids=lambda m: m.path)
def test_a_role_that_may_not_is_refused(
    client: TestClient, make: Make, things: dict[str, Any], log_in_as: LogIn, mutation: Mutation
) -> None:
    log_in_as(str(mutation.refused))
    before = n_events(make)
    assert send(client, mutation, things) == 403
    assert n_events(make) == before


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
    if mutation.event == "account.enabled":
        disable_account(make.session, name="dora")
    make.session.flush()
    if mutation.path.startswith("/account/"):
        things |= owned(make)
    if mutation.path.startswith(("/items", "/review", "/verdicts")):
        things |= reviewed(make, mutation)
    before, others = n_events(make, mutation.event), n_events(make)
    assert send(client, mutation, things) in (200, 204, 303)
    if mutation.event is None:
        assert n_events(make) == others
    else:
        assert n_events(make, mutation.event) == before + 1


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
