"""Neurons like one as a page of results, and the tokens that drive neurons."""

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from app.models import Excerpt, Subject
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import Context


@pytest.fixture
def subject(make: Make) -> Subject:
    """Neuron 0, one with its peaks, one with its tokens alone, one with its text alone, one with nothing of it."""
    subject = make.subject(neurons_per_layer=8)
    shared, other = [make.excerpt(subject, ids) for ids in ([4, 1, 2], [0, 1, 2])]
    made: list[tuple[str, list[int], list[Excerpt], list[list[float]]]] = [
        ("on imports", [4, 1], [shared, other], [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]]),
        ("on cats", [4, 2], [shared], [[6.0, 2.0, 0.0]]),
        ("on mats", [1, 4], [make.excerpt(subject, [1, 1, 1])], [[1.0, 2.0, 0.0]]),
        ("on imports", [7], [], []),
        ("on brackets", [8], [], []),
    ]
    for index, (text, tokens, excerpts, values) in enumerate(made):
        neuron = make.neuron(subject, index=index)
        make.explained(neuron, text)
        make.collected(neuron, subject, token_ids=tokens)
        if excerpts:
            top = make.sample(neuron, subject, rows=values)
            top.excerpt_ids = [excerpt.id for excerpt in excerpts]
    return subject


def test_the_most_alike_come_first_with_what_they_share(client: TestClient, subject: Subject, context: Context) -> None:
    html = client.get("/tiny/0/0/like").text
    found = {row.neuron.index: row for row in context().alike.rows}
    assert list(found) == [1, 2, 3]
    assert [(row.n_excerpts, row.n_tokens, row.has_same_text) for row in found.values()] == [
        (1, 1, False), (0, 2, False), (0, 0, True),
    ]  # fmt: skip
    assert found[1].cofiring == pytest.approx(1.0)
    assert found[2].cofiring is None
    assert "1 of 2" in html
    assert "the same text" in html
    assert 'href="/tiny/0/0/compare?against=0/1"' in html
    assert client.get("/tiny/0/0/like.json").json()["alike"]["n_excerpts"] == 2


def test_a_neuron_like_no_other_says_so(client: TestClient, subject: Subject) -> None:
    assert "No neuron has its text" in client.get("/tiny/0/4/like").text


def test_what_is_like_a_neuron_takes_few_queries(client: TestClient, subject: Subject, engine: Engine) -> None:
    with counted_queries(engine) as sent:
        client.get("/tiny/0/0/like")
    assert len(sent) <= 11


def test_tokens_that_hold_a_text_lead_to_what_they_drive(
    client: TestClient, subject: Subject, context: Context
) -> None:
    html = client.get("/tiny/tokens?text=at").text
    rows = context().rows
    assert [(row.token, row.n_neurons) for row in rows] == [(" cat", 2), (" sat", 1)]
    assert 'href="/tiny?token=+cat"' in html
    assert [context().glyphs[row.token] for row in rows] == ["<s> </s>cat", "<s> </s>sat"]
    for row in rows:
        client.get(row.address)
        assert context().matches.number == row.n_neurons
    client.get("/tiny?token=at&token_match=part")
    assert {row.index for row in context().rows} == {0, 1, 2}


def test_a_half_of_a_character_has_no_list(client: TestClient, subject: Subject, context: Context) -> None:
    assert client.get("/tiny/tokens?text=€").status_code == 200
    assert context().rows == ()
    assert "split into several" in client.get("/tiny/tokens?text=€").text
    assert client.get("/tiny/tokens.json?text=import").json()["rows"][0]["token"] == " import"


def test_without_a_text_no_token_is_counted(client: TestClient, subject: Subject, context: Context) -> None:
    assert client.get("/tiny/tokens").status_code == 200
    assert context().rows == ()
