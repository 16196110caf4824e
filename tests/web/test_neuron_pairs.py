"""Neurons that are like one, and two neurons side by side."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.samples import SampleKind
from app.models import Neuron, Sample, Subject
from tests.factories import Make, WholeCorpus
from tests.web.conftest import Context


@pytest.fixture
def neuron(make: Make, subject: Subject) -> Neuron:
    """A neuron with three strongest tokens and two top excerpts."""
    neuron = make.neuron(subject, layer=1, index=2, max=4.0)
    make.collected(neuron, subject, token_ids=[4, 1, 2], token_means=[3.0, 2.0, 1.0], token_counts=[1, 1, 1])
    make.sample(neuron, subject, rows=((0.0, 4.0), (0.0, 2.0)), token_ids=((0, 4), (0, 1)))
    make.explained(neuron, "on cats", value=0.6, whole=WholeCorpus(0.4))
    return neuron


def share(make: Make, sample: Sample, neuron: Neuron, rows: list[list[float]]) -> None:
    """A top sample of another neuron on the same excerpts."""
    own = make.sample(neuron, make.session.get_one(Subject, neuron.subject_id), rows=rows)
    own.excerpt_ids = sample.excerpt_ids[: len(rows)]
    make.session.flush()


def top(make: Make, neuron: Neuron) -> Sample:
    found: Sample = make.session.query(Sample).filter_by(neuron_id=neuron.id, kind=SampleKind.TOP).one()
    return found


def positions(rows: Any) -> list[tuple[int, int, int]]:
    return [(row.layer, row.index, row.n_shared) for row in rows]


def test_the_nearest_by_cofiring_and_weights_are_listed_in_their_order(
    client: TestClient, make: Make, context: Context
) -> None:
    subject = make.subject()
    own, first, second = (make.neuron(subject, layer=1, index=index) for index in (2, 3, 0))
    make.neuron(subject, layer=0, index=3)
    make.collected(own, subject, nearest=[3, 0], token_ids=[])
    make.explained(first, "fires on rain")
    html = client.get("/tiny/1/2/similar").text
    assert [(n.layer, n.index, n.explanation) for n in context().similar.nearest] == [
        (1, 3, "fires on rain"),
        (1, second.index, None),
    ]
    assert "The nearest in the layer" in html
    assert "No neuron has its text" not in html


def test_similar_neurons_share_text_tokens_or_peaks(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    twin, near, far = (make.neuron(subject, layer=0, index=index) for index in range(3))
    make.explained(twin, "on cats")
    for other, tokens in ((near, [1, 4, 7]), (far, [4, 8, 9])):
        make.collected(other, subject, token_ids=tokens, token_means=[3.0, 2.0, 1.0], token_counts=[1, 1, 1])
    share(make, top(make, neuron), far, [[0.0, 1.0]])

    html = client.get("/tiny/1/2/similar").text

    similar = context().similar
    assert positions(similar.same_text) == [(0, 0, 1)]
    assert positions(similar.same_tokens) == [(0, 1, 2), (0, 2, 1)]
    assert positions(similar.shared_peaks) == [(0, 2, 1)]
    assert "1 of 2 top excerpts" in " ".join(html.split())
    assert 'href="/tiny/1/2/compare?against=0/2"' in html
    assert 'hx-get="/tiny/1/2/similar"' in client.get("/tiny/1/2").text


def test_a_neuron_like_no_other_says_so(client: TestClient, make: Make, subject: Subject, neuron: Neuron) -> None:
    assert "No neuron has its text" in client.get("/tiny/1/2/similar").text
    make.neuron(subject, layer=0, index=0)
    assert "No neuron has its text" in client.get("/tiny/0/0/similar").text


def test_neurons_of_another_subject_are_not_similar(
    client: TestClient, make: Make, neuron: Neuron, context: Context
) -> None:
    elsewhere = make.subject("elsewhere")
    other = make.neuron(elsewhere)
    make.explained(other, "on cats")
    make.collected(other, elsewhere, token_ids=[4, 1, 2], token_means=[3.0, 2.0, 1.0], token_counts=[1, 1, 1])
    client.get("/tiny/1/2/similar")
    assert (context().similar.same_text, context().similar.same_tokens) == ((), ())


def test_two_neurons_are_compared_on_the_same_excerpts(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    other = make.neuron(subject, layer=0, index=3, max=2.0)
    share(make, top(make, neuron), other, [[2.0, 0.5]])

    html = client.get("/tiny/1/2/compare?against=0/3").text

    pair = context().pair
    assert [(n.letter, n.layer, n.index, n.text) for n in pair.neurons] == [("A", 1, 2, "on cats"), ("B", 0, 3, None)]
    assert pair.n_shared == 1
    first, second = pair.excerpts
    # On its own scale A has 0 and 1, B 1 and .25: they differ most on the first token.
    assert (first.token, first.difference) == ("the", 1.0)
    assert [strip.activations for strip in first.strips] == [[0.0, 4.0], [2.0, 0.5]]
    assert (second.difference, second.strips[1].activations) == (None, None)
    assert "not stored" in html
    assert "not explained yet" in html


@pytest.mark.parametrize(
    ("against", "status"),
    [("1/2", 422), ("x", 422), ("1", 422), ("0/99", 404), ("99999999999/1", 422), ("-1/0", 422), ("1/2/3", 422)],
)
def test_what_is_no_other_neuron_is_refused(client: TestClient, neuron: Neuron, against: str, status: int) -> None:
    assert client.get(f"/tiny/1/2/compare?against={against}").status_code == status


def test_neurons_without_records_are_compared_by_their_texts(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron
) -> None:
    make.neuron(subject, layer=0, index=0)
    make.neuron(subject, layer=0, index=1)
    html = client.get("/tiny/0/0/compare?against=0/1").text
    assert "No activations of these neurons are stored" in html
