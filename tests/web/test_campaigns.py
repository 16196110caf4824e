import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.doubts import Doubt, FigureKind
from app.models import Campaign, CampaignDraw, CampaignVersion, ExplanationDoubt, Neuron, ReviewItem, Subject
from tests.factories import Make
from tests.web.conftest import Context, LogIn

FORM = {"name": "First look", "question": "Does it hold?", "n": "3", "seed": "5", "is_blind": "yes"}


@pytest.fixture
def subject(make: Make) -> Subject:
    """Four explained neurons in two layers."""
    subject = make.subject()
    for layer in (0, 1):
        for index in (0, 1):
            make.explained(make.neuron(subject, layer, index), f"fires on {layer} {index}", 0.2 + layer / 2)
    return subject


def create(client: TestClient, **changes: str) -> Any:
    return client.post("/campaigns", data={**FORM, "subject": "tiny", **changes})


def test_the_standing_campaign_is_there_from_the_start(client: TestClient, context: Context) -> None:
    page = client.get("/campaigns").text
    assert "Flagged explanations" in page
    assert [c.is_standing for c in context().campaigns] == [True]


def test_a_reviewer_creates_a_campaign_from_a_list(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    assert "2 explanations" in client.get("/campaigns/new?subject=tiny&layer=1").text
    answer = create(client, filters="layer=1", stratified_by="layer", n="2")
    made = make.session.scalars(select(Campaign).where(~Campaign.is_standing)).one()
    assert answer.headers["location"] == f"/campaigns/{made.id}"
    draw = make.session.scalars(select(CampaignDraw).where(CampaignDraw.campaign_id == made.id)).one()
    assert draw.strata == [{"label": "layer 1", "population": 2, "n": 2}]
    assert draw.parameters == {"filters": "layer=1", "n": 2}
    assert "Does it hold?" in client.get(f"/campaigns/{made.id}").text
    assert context().campaign.counts.total == 2


def test_all_that_match_can_be_items(client: TestClient, make: Make, subject: Subject, log_in_as: LogIn) -> None:
    log_in_as("alice")
    create(client, source="filter")
    items = make.session.scalars(select(ReviewItem)).all()
    assert {(i.source, i.stratum) for i in items} == {("filter", None)}
    assert len(items) == 4


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": " "}, 422), ({"question": ""}, 422), ({"verdicts_per_item": "6"}, 422), ({"n": "0"}, 422),
        ({"source": "flag"}, 422), ({"stratified_by": "colour"}, 422), ({"seed": "-1"}, 422),
        ({"subject": "nobody"}, 404), ({"filters": "layer=7"}, 409), ({"participant": "999999"}, 404),
        ({"question": "x" * 301}, 422), ({"control_percent": "20", "is_blind": ""}, 422),
    ],
)  # fmt: skip
def test_what_makes_no_campaign_is_refused(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn, changes: dict[str, str], status: int
) -> None:
    log_in_as("olga")
    assert create(client, **changes).status_code == status


def test_rules_are_changed_by_a_newer_version(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    address = create(client).headers["location"]
    assert "Put version 2 in force" in client.get(f"{address}/rules").text
    client.post(f"{address}/rules", data={"question": "Does it?", "verdicts_per_item": "3"})
    versions = make.session.scalars(
        select(CampaignVersion).join(Campaign, Campaign.id == CampaignVersion.campaign_id).where(~Campaign.is_standing)
    ).all()
    assert [(v.number, v.question, v.is_blind) for v in versions] == [
        (1, "Does it hold?", True),
        (2, "Does it?", False),
    ]


def test_controls_stay_among_items_that_are_judged_blind(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    address = create(client, control_percent="20").headers["location"]
    assert client.post(f"{address}/rules", data={"question": "Does it?"}).status_code == 422
    assert client.post(f"{address}/rules", data={"question": "Does it?", "is_blind": "yes"}).status_code == 303


def test_an_ended_campaign_says_so(client: TestClient, subject: Subject, log_in_as: LogIn) -> None:
    log_in_as("olga")
    address = create(client).headers["location"]
    client.post(f"{address}/end")
    assert "ended" in client.get(address).text
    assert client.post(f"{address}/end").status_code == 409


@pytest.mark.parametrize(
    "path", ["/campaigns/0", "/campaigns/x", "/campaigns/99999999999999999999", "/campaigns/77777"]
)
def test_addresses_of_no_campaign_are_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_readers_see_campaigns_and_cannot_create_them(client: TestClient, subject: Subject, log_in_as: LogIn) -> None:
    log_in_as("charlie")
    assert client.get("/campaigns").status_code == 200
    assert client.get("/campaigns/new?subject=tiny").status_code == 403
    assert create(client).status_code == 403


@pytest.mark.parametrize("doubt", Doubt)
def test_every_doubt_is_a_filter_shows_its_figure_and_is_a_source_of_items(
    client: TestClient, make: Make, subject: Subject, log_in_as: LogIn, context: Context, doubt: Doubt
) -> None:
    doubted, *_ = make.session.scalars(select(Neuron).where(Neuron.subject_id == subject.id).order_by(Neuron.id))
    make.session.add(
        ExplanationDoubt(
            explanation_id=doubted.current_explanation_id,
            doubt=doubt,
            figure=0.375 if doubt.figure_kind is not FigureKind.COUNT else 3,
            subject_id=subject.id,
            neuron_id=doubted.id,
            is_current=True,
        )
    )
    make.session.flush()
    page = unescape(client.get(f"/tiny?doubt={doubt}").text)
    assert doubt.label in page
    assert [(row.layer, row.index) for row in context().rows] == [(doubted.layer, doubted.index)]
    figure = {FigureKind.SCORE: r"\.37|\.38", FigureKind.SHARE: r"38\s*%|37\.5\s*%", FigureKind.COUNT: r"\b3\b"}
    of_neuron = unescape(client.get(f"/tiny/{doubted.layer}/{doubted.index}").text)
    named = [match.start() for match in re.finditer(re.escape(doubt.label), of_neuron)]
    assert any(re.search(figure[doubt.figure_kind], of_neuron[start : start + 400]) for start in named)
    log_in_as("alice")
    create(client, source="filter", filters=f"doubt={doubt}")
    (item,) = make.session.scalars(select(ReviewItem))
    assert (item.source, item.explanation_id) == ("doubt", doubted.current_explanation_id)
