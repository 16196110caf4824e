"""Next and previous follow the list that a neuron was opened from."""

import re
from html import unescape
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from app.models import Subject
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries
from tests.web.conftest import Context, LogIn


@pytest.fixture
def subject(make: Make) -> Subject:
    """Eight neurons: six with scores, two of them equal, and two without."""
    subject = make.subject(n_layers=2, neurons_per_layer=4)
    scores = [0.5, 0.9, 0.5, 0.1, 0.7, 0.3, None, None]
    for number, score in enumerate(scores):
        neuron = make.neuron(subject, *divmod(number, 4))
        if score is not None:
            make.explained(neuron, f"fires on {number}", score, whole=WholeCorpus(score))
    return subject


def links(client: TestClient, address: str, context: Context) -> list[str]:
    """The neurons that a list shows, as links."""
    page = unescape(client.get(address).text)
    assert context().rows
    return re.findall(r'<td class="place">\s*<a class="opens"\s+href="([^"]+)">', page)


LISTS = ["", "?sort=score", "?sort=-score", "?layer=0", "?sort=position", "?state=explained&sort=-margin", "?sort=-max",
         "?words=fires", "?headline_min=0.3&headline_max=0.7&sort=headline"]  # fmt: skip


@pytest.mark.parametrize("address", LISTS)
def test_next_goes_through_the_list_in_its_order_and_previous_back(
    client: TestClient, subject: Subject, context: Context, address: str
) -> None:
    wanted = links(client, f"/tiny{address}", context)
    visited = list[str]()
    trail: Any = None
    path: str | None = wanted[0]
    while path is not None:
        client.get(path)
        trail = context().trail
        visited.append(path)
        assert (trail.position, trail.matches.number) == (len(visited), len(wanted))
        path = trail.next
    assert visited == wanted
    back = [visited[-1]]
    while trail.previous is not None:
        client.get(trail.previous)
        back.append(trail.previous)
        trail = context().trail
    assert back[::-1] == wanted


def test_the_page_says_where_it_is_and_leads_back(client: TestClient, subject: Subject, context: Context) -> None:
    path = links(client, "/tiny?layer=0&sort=score", context)[1]
    page = unescape(client.get(path).text)
    assert "2 of 4" in page
    assert 'href="/tiny?layer=0&sort=score"' in page
    assert links(client, context().trail.back, context)[1] == path


def test_far_down_the_list_the_way_back_begins_at_the_neuron(
    client: TestClient, subject: Subject, context: Context, app: FastAPI
) -> None:
    wanted = links(client, "/tiny?sort=score", context)
    app.state.settings = app.state.settings.model_copy(update={"page_size": 2})
    client.get(wanted[4])
    assert links(client, context().trail.back, context)[0] == wanted[4]


def test_without_a_list_the_neighbours_are_those_by_position(
    client: TestClient, subject: Subject, context: Context
) -> None:
    client.get("/tiny/0/3")
    trail = context().trail
    assert (trail.previous, trail.next, trail.position, trail.query) == ("/tiny/0/2", "/tiny/1/0", None, "")
    assert trail.back == "/tiny?layer=0&sort=position"


def test_a_neuron_that_has_left_the_list_still_has_its_neighbours(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    """As after a flag was settled, or a score has risen above the filter."""
    wanted = links(client, "/tiny?headline_max=0.6&sort=headline", context)
    path = wanted[1]
    client.get(path.replace("headline_max%3D0.6", "headline_max%3D0.2"))
    trail = context().trail
    assert trail.position is None
    assert trail.previous is not None
    assert "list of 1" in client.get(path.replace("headline_max%3D0.6", "headline_max%3D0.2")).text


@pytest.mark.parametrize("listed", ["sort=nonsense", "layer=x", "headline_min=abc", "state=happy"])
def test_a_list_that_does_not_exist_is_refused(client: TestClient, subject: Subject, listed: str) -> None:
    answer = client.get("/tiny/0/0", params={"list": listed})
    assert answer.status_code == 422


def test_a_page_in_a_list_sends_a_bounded_number_of_queries(
    client: TestClient, subject: Subject, engine: Engine, context: Context
) -> None:
    path = links(client, "/tiny?sort=score", context)[2]
    with counted_queries(engine) as alone:
        client.get("/tiny/0/0")
    with counted_queries(engine) as sent:
        client.get(path)
    assert len(sent) <= len(alone) + 2


def test_a_flag_can_be_followed_by_the_next_neuron_of_the_list(
    client: TestClient, make: Make, subject: Subject, context: Context, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    first, second = links(client, "/tiny?state=explained&sort=score", context)[:2]
    client.get(first)
    claim, trail = context().claim, context().trail
    assert trail.next == second
    sent = {"explanation_id": str(claim.shown.id), "reason": "wrong", "go_on": trail.next}
    answer = client.post(f"{claim.address}/flags{trail.query}", data=sent)
    assert answer.headers["location"] == f"{second}&flagging=true"
    page = client.get(answer.headers["location"]).text
    assert context().flags.is_open
    assert "Flagged 0/3." in page
    assert "Flagged 0/3." not in client.get(second).text  # said once


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site(
    client: TestClient, subject: Subject, context: Context, log_in_as: LogIn, place: str
) -> None:
    log_in_as("charlie")
    client.get("/tiny/0/0")
    shown = context().claim.shown.id
    sent = {"explanation_id": str(shown), "reason": "wrong", "go_on": place}
    assert client.post("/tiny/0/0/flags", data=sent).headers["location"] == "/?flagging=true"
    answer = client.post(f"/explanations/{shown}/flags", data={"reason": "other", "back": place})
    assert answer.headers["location"] == "/"


def test_saved_views_are_one_click_each(
    client: TestClient, make: Make, subject: Subject, context: Context, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    client.get("/tiny/0/1")
    client.post(f"/explanations/{context().claim.shown.id}/flags", data={"reason": "wrong"})
    client.get("/tiny?state=flagged&sort=score")
    views = {view.name: view for view in context().views}
    assert [name for name, view in views.items() if view.is_shown] == ["flagged"]
    assert list(views) == ["all", "doubtful", "below table", "flagged", "unexplained", "mine"]
    for name, number in (("mine", 1), ("flagged", 1), ("unexplained", 2), ("all", 8)):
        client.get(views[name].address)
        assert context().matches.number == number, name
