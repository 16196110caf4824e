from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient

from app.domain.doubts import Doubt
from app.models import Pause
from tests.factories import Make


def test_without_a_subject_the_first_page_shows_how_to_start(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "neuron-audit collect MODEL CORPUS" in answer.text


def test_subjects_are_listed_with_how_many_neurons_are_explained(
    client: TestClient, make: Make, context: Callable[[], Any]
) -> None:
    subject = make.subject()
    make.explained(make.neuron(subject), value=0.42)
    make.explained(make.neuron(subject, layer=1), value=0.62)
    make.explained(make.neuron(subject, index=1), value=0.9, simulator="structured+linear")
    make.explained(make.neuron(subject, index=2), value=None)
    make.neuron(subject, index=3)

    answer = client.get("/")

    (shown,) = context().subjects
    assert (shown.n_neurons, shown.n_explained) == (8, 4)
    assert [(s.simulator, s.n_scored, s.n_good) for s in shown.scores] == [
        ("lexical", 2, 1),
        ("structured+linear", 1, 1),
    ]
    assert shown.scores[0].layers[0].counts[9] == 1
    assert shown.scores[1].layers[1].n_scored == 0
    assert f'href="/{subject.slug}"' in answer.text
    assert "simulator=structured%2Blinear" in answer.text


def test_the_first_page_says_where_to_look_first(client: TestClient, make: Make, context: Callable[[], Any]) -> None:
    subject = make.subject()
    for index, text in enumerate(("**ships**", "**sails**", "I think it is ropes")):
        make.explained(make.neuron(subject, index=index), text)
    answer = client.get("/")
    (shown,) = context().subjects
    assert [(found.doubt, found.number) for found in shown.doubts] == [(Doubt.MARKDOWN, 2), (Doubt.REASONING, 1)]
    assert 'href="/tiny?doubt=markdown"' in answer.text
    client.get("/tiny?doubt=markdown")
    assert [row.explanation for row in context().rows] == ["**sails**", "**ships**"]
    assert context().matches.number == 2


def test_the_twin_of_the_first_page_says_the_same(client: TestClient, make: Make) -> None:
    make.subject(slug="tiny")
    assert client.get("/index.json").json()["subjects"][0]["slug"] == "tiny"


def test_a_paused_provider_is_a_banner(client: TestClient, make: Make) -> None:
    make.session.add(Pause(provider="hosted", reason="no answer", until=datetime.now(UTC) + timedelta(minutes=1)))
    make.session.flush()
    assert "hosted is paused" in client.get("/").text


def test_htmx_gets_the_part_that_moves_alone(client: TestClient) -> None:
    part = client.get("/activity", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert part.text.lstrip().startswith('<section id="_activity"')
    assert "HX-Request" in part.headers["vary"]
    assert "hx-trigger" not in part.text


def test_what_is_going_on_is_a_page_and_json_too(client: TestClient) -> None:
    assert "none seen in the last minute" in client.get("/activity").text
    assert client.get("/activity.json").json()["queue"] == {"queued": 0, "running": 0}
