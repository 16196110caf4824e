"""No page sends more than six statements, whoever reads it and whatever it shows.

The look at the version is one of them, since a page reads it before all else; what begins and ends a transaction, and
the planner's settings for it, are not: ``SET`` reads nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.domain.samples import SampleKind
from app.models import Account, Excerpt, Explanation, Neuron, Subject
from app.queries.lists.kept import add_to_list
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.logins import start_session
from app.queries.review.campaigns import standing_campaign_id
from app.queries.review.taking import Reviewer, held_slot, keep_guess, take_next
from app.web.deps import SESSION_COOKIE
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries
from tests.web.addressed import Known, addressed

MOST = 6
NOT_PAGES = re.compile(r"/health|/openapi|/login/openid|report\.pdf|\.png$|/export/|neurons\.\{format\}|\.ndjson")
"""What asks others, or streams as many parts as it has."""
VARIANTS = {
    "/{slug}": (
        "",
        "?words=import",
        "?words=import&sort=-score",
        "?sort=position&layer=0",
        "?state=flagged",
        "?after=0.4@5",
        "?before=0.4@5",
        "?in_list={list_id}&sort=listed",
        "?doubt=too_broad",
        "?token=import",
        "?words=zyzzyva",
    ),
    "/{slug}/{layer}/{index}": (
        "",
        "?list=all",
        "?list=words%3Dimport",
        "?list=in_list%3D{list_id}%26sort%3Dlisted",
        "?show=expected",
        "?explanation={own_id}",
    ),
    "/search": ("", "?words=import", "?words=import&subject={slug}", "?token=import"),
    "/search/facets": ("?words=import", "?words=import&subject={slug}&to=list"),
    "/batches/{batch_id}": ("", "?status=failed", "?status=succeeded", "?sort=-difference"),
    "/{slug}/queue": ("?method={first}&layer=0&all=true",),
    "/{slug}/bulk": ("?all=true&state=explained",),
    "/{slug}/lists": ("?all=true",),
    "/methods/compare": ("?first={first}&second={second}",),
    "/bill": ("", "?by=method", "?by=person"),
    "/campaigns/new": ("?subject={slug}",),
}
"""Queries of pages that need one, or that read other things with one."""


@dataclass(frozen=True)
class Site:
    """A site in use: a campaign under way, flags, lists, batches, an import, calls, and two methods with results."""

    client: TestClient
    known: Known
    accounts: dict[str, int]


@pytest.fixture
def site(make: Make, client: TestClient) -> Site:
    session, known = make.session, dict(addressed(make))
    neurons = session.scalars(select(Neuron).order_by(Neuron.id).limit(6)).all()
    subject = session.get_one(Subject, neurons[0].subject_id)
    first, second = make.method("one"), make.method("two")
    for neuron in neurons:
        make.collected(neuron, subject)
        for kind in (SampleKind.RANDOM, SampleKind.BAND_2):
            make.sample(neuron, subject, kind, rows=((0.0, 4.0, 0.5), (1.0, 0.0, 0.0)))
        for method in (first, second):
            make.explained(neuron, f'fires on " import" by {method.name}', method=method, whole=WholeCorpus(0.4))
    chosen = NeuronSelection.of(subject.id, [neuron.id for neuron in neurons])
    accounts = {row.name: row.id for row in session.execute(select(Account.name, Account.id))}
    add_to_list(session, list_id=int(known["list_id"]), selection=chosen, account_id=accounts["alice"])
    slot = take_next(session, campaign_id=int(known["campaign_id"]), reviewer=Reviewer(accounts["bob"]))
    known |= {
        "own_id": session.scalars(select(Explanation.id).where(Explanation.neuron_id == neurons[0].id)).all()[-1],
        "excerpt_id": session.scalars(select(Excerpt.id).limit(1)).one(),
        "first": first.id,
        "second": second.id,
        "provider_id": 1,
        "slot_id": 0 if slot is None else slot.id,
        "name": "x",
    }
    session.flush()
    return Site(client, known, accounts)


def pages(app: FastAPI) -> Iterator[tuple[str, str]]:
    """The path of every page, with each query that it is asked with."""
    for route in app.state.routes:
        path = re.sub(r":\w+}", "}", route.path)
        if "GET" in (route.methods or ()) and not path.endswith(".json") and not NOT_PAGES.search(path):
            yield from ((path, query) for query in VARIANTS.get(path, ("",)))


def session_of(make: Make, site: Site, who: str | None) -> dict[str, str]:
    """What this person's browser sends."""
    if who is None:
        return {}
    token = start_session(make.session, account_id=site.accounts[who], days=1, agent="")
    make.session.flush()
    return {"Cookie": f"{SESSION_COOKIE}={token}"}


def counted(app: FastAPI, engine: Engine, site: Site, headers: dict[str, str]) -> list[tuple[str, int]]:
    """Address and number of statements of every page that this person may see."""
    found = []
    for path, query in pages(app):
        address = f"{path}{query}".format(**site.known)
        site.client.get(address, headers=headers)  # the vocabulary is read once per process
        with counted_queries(engine, with_version=True) as sent:
            status = site.client.get(address, headers=headers).status_code
        if status < 400:
            found.append((address, len(sent)))
    return found


@pytest.mark.parametrize(("who", "fewest"), [("alice", 75), ("bob", 70), (None, 45)])
def test_no_page_sends_more_than_six_statements(
    app: FastAPI, engine: Engine, make: Make, site: Site, who: str | None, fewest: int
) -> None:
    found = counted(app, engine, site, session_of(make, site, who))
    assert [(address, n) for address, n in found if n > MOST] == []
    assert len(found) > fewest, "the addresses lead to pages"


def test_an_item_sends_no_more_before_its_text_is_shown_after_it_and_where_it_was_flagged(
    engine: Engine, make: Make, site: Site
) -> None:
    session, client, slot_id = make.session, site.client, int(site.known["slot_id"])
    bob, alice = Reviewer(site.accounts["bob"]), Reviewer(site.accounts["alice"], may_adjudicate=True)
    held = held_slot(session, slot_id=slot_id, reviewer=bob)
    flagged = take_next(session, campaign_id=standing_campaign_id(session), reviewer=alice)
    assert held is not None
    assert flagged is not None
    numbers = []
    for slot, who, is_told in ((held, "bob", False), (held, "bob", True), (flagged, "alice", True)):
        if is_told:
            reviewer = bob if who == "bob" else alice
            keep_guess(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=reviewer, guess="import")
        headers = session_of(make, site, who)
        shown = client.get(f"/review/{slot.id}.json", headers=headers).json()
        assert (shown["text"] is not None, bool(shown["flags"])) == (is_told, slot is flagged)
        with counted_queries(engine, with_version=True) as sent:
            client.get(f"/review/{slot.id}", headers=headers)
        numbers.append(len(sent))
    assert max(numbers) <= MOST
    assert min(numbers) > 3
