import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.models import Collection, Neuron, Subject
from tests.factories import Make, WholeCorpus
from tests.web.conftest import Context


@pytest.fixture
def two(make: Make) -> tuple[Subject, Subject]:
    """Two versions of a model on one corpus; three neurons explained in both, one in the first alone."""
    first, second = make.subject("first"), make.subject("second")
    corpus = make.session.get_one(Collection, first.collection_id).corpus_id
    make.session.get_one(Collection, second.collection_id).corpus_id = corpus
    for index, (old, new) in enumerate([(0.5, 0.7), (0.4, 0.5), (0.3, 0.6)]):
        make.explained(make.neuron(first, index=index), "fires on cats", whole=WholeCorpus(old))
        text = "fires on cats" if index == 0 else "fires on dogs"
        make.explained(make.neuron(second, index=index), text, whole=WholeCorpus(new))
    make.explained(make.neuron(first, layer=1), "fires on birds", whole=WholeCorpus(0.9))
    make.neuron(second, layer=1)
    make.session.flush()
    return first, second


def test_neurons_are_compared_at_the_same_address(client: TestClient, two: object, context: Context) -> None:
    assert client.get("/first/against?other=second").status_code == 200
    found = context().found
    assert (found.same_corpus, found.same_shape) == (True, True)
    assert (found.all.n_explained, found.all.n_same_text, found.all.n_scored, found.all.n_higher) == (3, 1, 3, 3)
    assert found.all.difference.value == pytest.approx(0.2)
    # standard deviation 0.1 over three pairs: t(.975, 2) = 4.3027, times 0.1 / sqrt(3)
    assert found.all.difference.interval == pytest.approx((0.2 - 0.24841, 0.2 + 0.24841), abs=1e-4)
    assert [layer.layer for layer in found.layers] == [0]
    assert [(pair.index, pair.first, pair.second) for pair in found.pairs] == [
        (2, 0.3, 0.6),
        (0, 0.5, 0.7),
        (1, 0.4, 0.5),
    ]


def test_the_other_way_round_the_difference_is_the_other_sign(
    client: TestClient, two: object, context: Context
) -> None:
    client.get("/second/against?other=first")
    assert context().found.all.difference.value == pytest.approx(-0.2)
    assert context().found.all.n_higher == 0


def test_scores_of_different_simulators_are_not_compared(client: TestClient, make: Make, context: Context) -> None:
    for slug, simulator in (("first", "lexical"), ("second", "structured")):
        neuron = make.neuron(make.subject(slug))
        make.explained(neuron, "fires on cats", simulator=simulator, whole=WholeCorpus(0.5))
    page = client.get("/first/against?other=second")
    assert (context().found.all.n_explained, context().found.all.n_scored) == (1, 0)
    assert "no scores are compared" in page.text
    assert "not read on the same corpus" in page.text


def test_neurons_are_matched_by_cofiring(client: TestClient, two: tuple[Subject, Subject], make: Make) -> None:
    first, second = two
    excerpts = [make.excerpt(first, [number, 1, 2]) for number in range(3)]
    for subject, index, rows in ((first, 0, [[4.0, 1.0, 0.0]] * 3), (second, 2, [[8.0, 2.0, 0.0]] * 3)):
        neuron = make.session.scalars(select(Neuron).filter_by(subject_id=subject.id, layer=0, index=index)).one()
        make.collected(neuron, subject)
        make.sample(neuron, subject, rows=rows).excerpt_ids = [excerpt.id for excerpt in excerpts]
    second.tokenizer_id = first.tokenizer_id
    make.session.flush()
    html = client.get("/first/against?other=second&by=cofiring").text
    assert "<b>1</b> share at least three top excerpts" in html
    assert 'href="/second/0/2"' in html
    found = client.get("/first/against.json?other=second&by=cofiring").json()["cofiring"]
    (pair,) = found["pairs"]
    assert (pair["n_shared"], pair["cofiring"]) == (3, pytest.approx(1.0))
    assert found["difference"]["value"] == pytest.approx(0.1)
    assert client.get("/first/against?other=second&by=name").status_code == 422


def test_without_a_common_text_nothing_is_matched_by_cofiring(client: TestClient, make: Make) -> None:
    make.subject("first"), make.subject("second")
    assert "not read on the same text" in client.get("/first/against?other=second&by=cofiring").text


def test_neurons_that_share_no_excerpts_are_not_matched(
    client: TestClient, two: tuple[Subject, Subject], make: Make
) -> None:
    two[1].tokenizer_id = two[0].tokenizer_id
    make.session.flush()
    assert "None of 4 explained neurons shares" in client.get("/first/against?other=second&by=cofiring").text


def test_subjects_of_different_shapes_say_so(client: TestClient, make: Make) -> None:
    make.subject("first"), make.subject("second", n_layers=3)
    page = client.get("/first/against?other=second")
    assert "differ in shape" in page.text
    assert "No neuron is explained in both" in page.text


def test_a_subject_is_not_compared_with_itself_or_with_none(client: TestClient, make: Make) -> None:
    make.subject("first")
    assert "There is no other subject yet" in client.get("/first/against").text
    assert client.get("/first/against?other=first").status_code == 422
    assert client.get("/first/against?other=nobody").status_code == 404


def test_subjects_of_one_name_are_told_apart_by_their_slugs(client: TestClient, make: Make, context: Context) -> None:
    for slug in ("first", "second", "third"):
        make.subject(slug).name = "gpt2" if slug != "third" else "other"
    make.session.flush()
    client.get("/first/against?other=second")
    assert (context().first.name, context().second.name) == ("gpt2 (first)", "gpt2 (second)")
    assert {each.name for each in context().others} == {"gpt2 (second)", "other"}
    client.get("/search")
    assert {each.name for each in context().subjects} == {"gpt2 (first)", "gpt2 (second)", "other"}
