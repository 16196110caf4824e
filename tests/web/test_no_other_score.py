"""No address shows a score that does not represent its explanation, unless the score's simulator is named beside it.

Every address that can be read is requested, so that a page is in this test from the day it is made.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi.routing import APIRoute
from httpx2 import Response
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.standing import SCORE_2023
from app.models import Batch, CampaignDraw, Run, Sample, Score
from app.queries.lists.kept import add_to_list, create_list
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.flags import open_flag
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.taking import Reviewer, take_next
from app.web.main import ROUTERS
from tests.db.reviewing import judge
from tests.factories import Make
from tests.web.conftest import LogIn
from tests.web.scored import Story, scored_neuron

PATHS = sorted(
    {
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
    }
)
QUERIES = {
    "/search": "words=text",
    "/search/random": "words=text",
    "/go": "q=tiny",
    "/methods/compare": "first={method_id}&second={other_method_id}",
    "/{slug}/{layer}/{index}/compare": "explanation={explanation_id}&explanation={current_id}",
    "/{slug}/bulk": "neuron={neuron_id}",
    "/{slug}/queue": "neuron={neuron_id}&method={usable_id}",
    "/{slug}/lists": "neuron={neuron_id}",
    "/campaigns/new": "subject={slug}",
}
OF_OTHER_THINGS = {
    "/calls/{call_id}",
    "/exports/{task_id}",
    "/imports/{import_id}",
    "/login/openid",
    "/login/openid/callback",
    "/login/openid/end",
    "/login/openid/ended",
    "/providers/{provider_id}",
    "/searches/{key}",
    "/subjects/new/{task_id}",
    "/tasks/{task_id}",
}
"""What no explanation leads to; the neuron of this test has none of it."""
SHOWING = {
    "/api/subjects/{slug}/neurons",
    "/api/subjects/{slug}/scores",
    "/batches/{batch_id}.json",
    "/campaigns/{campaign_id}/export/{table}.{format}",
    "/campaigns/{campaign_id}/report.json",
    "/explanations/{explanation_id}.json",
    "/flags.json",
    "/flags/{flag_id}.json",
    "/items/{item_id}.json",
    "/lists/{list_id}.json",
    "/methods.json",
    "/methods/compare.json",
    "/methods/{method_id}.json",
    "/runs/{run_id}.json",
    "/search.json",
    "/{slug}.json",
    "/{slug}/atlas.json",
    "/{slug}/neurons.{format}",
    "/{slug}/{layer}/{index}.json",
    "/{slug}/{layer}/{index}/compare.json",
    "/{slug}/{layer}/{index}/excerpts/{excerpt_id}.json",
    "/{slug}/{layer}/{index}/like.json",
    "/{slug}/{layer}/{index}/progress.json",
    "/{slug}/{layer}/{index}/similar.json",
    "/{slug}/{layer}/{index}/try.json",
}
"""Where data have a 2023 score of this neuron. The page of a twin is rendered from the same object."""


@pytest.fixture
def story(session: Session, sessions: Sessions, make: Make) -> Story:
    return scored_neuron(session, sessions, make)


@pytest.fixture
def known(make: Make, story: Story, log_in_as: LogIn) -> Mapping[str, object]:
    """What the addresses name, about this neuron: flagged, in a list, judged in one campaign and taken in another."""
    session, subject_id, neuron_id = story.session, story.neuron.subject_id, story.neuron.id
    alice = Reviewer(log_in_as("alice").id)
    second = story.explanations[1].id
    flagged_by = make.account("dora").id
    flag_id = open_flag(session, explanation_id=second, account_id=flagged_by, reason="wrong", note="")
    chosen = NeuronSelection.of(subject_id, [neuron_id])
    list_id = create_list(session, slug="tiny", name="Seen", account_id=alice.account_id)
    add_to_list(session, list_id=list_id, selection=chosen, account_id=alice.account_id)
    slots = []
    for name, is_blind in (("Open", False), ("Blind", True)):
        campaign_id = create_campaign(
            session,
            name=name,
            subject_id=subject_id,
            rules=CampaignRules("Does it hold?", verdicts_per_item=1, is_blind=is_blind),
            wanted=SampleWanted(chosen, 1),
            account_id=None,
            seed=1,
        )
        slot = take_next(session, campaign_id=campaign_id, reviewer=alice)
        assert slot is not None
        slots.append(slot)
    judge(session, slots[0], alice)
    session.flush()
    return {
        "slug": "tiny",
        "layer": 0,
        "index": 1,
        "neuron_id": neuron_id,
        "excerpt_id": session.scalars(select(Sample.excerpt_ids).where(Sample.neuron_id == neuron_id)).first()[0],  # type: ignore[index]  # it has samples
        "explanation_id": second,
        "current_id": story.current.id,
        "method_id": story.methods[0].id,
        "other_method_id": story.methods[1].id,
        "usable_id": make.method().id,
        "batch_id": session.scalars(select(Batch.id).order_by(Batch.id)).first(),
        "run_id": session.scalars(select(Run.id).order_by(Run.id)).first(),
        "flag_id": flag_id,
        "list_id": list_id,
        "campaign_id": slots[0].campaign_id,
        "draw_id": session.scalars(select(CampaignDraw.id).order_by(CampaignDraw.id)).first(),
        "item_id": slots[0].item_id,
        "slot_id": slots[1].id,
        "account_id": alice.account_id,
        "table": "items",
        "format": "csv",
    }


def data(response: Response) -> Any:
    """What programs read: JSON, lines of JSON or CSV; nothing of other documents."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json":
        return response.json()
    if kind == "application/jsonl":
        return [json.loads(line) for line in response.text.splitlines()]
    if kind == "text/csv":
        return [
            {name: number(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(response.text))
        ]
    return None


def number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def numbers(node: Any, simulator: str | None = None) -> Iterator[tuple[float, str | None]]:
    """Each number with the simulator that the innermost object around it names."""
    if isinstance(node, dict):
        named = node.get("simulator", simulator)
        for value in node.values():
            yield from numbers(value, named)
    elif isinstance(node, list):
        for value in node:
            yield from numbers(value, simulator)
    elif isinstance(node, float):
        yield node, simulator


def test_a_score_represents_its_explanation_or_stands_beside_its_simulator(
    client: TestClient, story: Story, known: Mapping[str, object]
) -> None:
    of_2023 = {
        score.value: score.simulator for score in story.session.scalars(select(Score)) if SCORE_2023.names(score)
    }
    representatives = {score.value for score in story.standing.values()}
    assert len(representatives) == 4 < len(of_2023)
    showing, others, unreached = set(), set(), set()
    for path in PATHS:
        page = path.removesuffix(".json")
        query = QUERIES.get(page, "").format(**known)
        try:
            response = client.get(f"{path.format(**known)}?{query}")
        except KeyError:
            unreached.add(page)
            continue
        if response.status_code not in {200, 303}:
            unreached.add(page)
        for value, simulator in numbers(data(response)):
            if value in of_2023:
                showing.add(path)
                if value not in representatives and simulator != of_2023[value]:
                    others.add((path, value, simulator))
    assert others == set()
    assert showing == SHOWING
    assert unreached == OF_OTHER_THINGS
