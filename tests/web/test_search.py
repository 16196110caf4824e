"""The search page, its facets, and random matches."""

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from app.models import Subject
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries
from tests.web.conftest import Context


@pytest.fixture
def subject(make: Make) -> Subject:
    subject = make.subject("tiny")
    for index, text in enumerate(["raises exceptions", "an exception <b>", "the cat sat"]):
        make.explained(make.neuron(subject, index=index), text, value=0.3 * index, whole=WholeCorpus(0.5))
    make.explained(make.neuron(make.subject("other"), layer=1, index=3), "exceptional")
    return subject


def test_explanations_of_all_subjects_are_found_and_marked(
    client: TestClient, subject: Subject, context: Context
) -> None:
    html = client.get("/search?words=excepti*").text
    assert "an <mark>exception</mark> &lt;b&gt;" in html
    assert context().matches.number == 3
    assert {row.address.partition("?")[0] for row in context().rows} == {"/tiny/0/0", "/tiny/0/1", "/other/1/3"}
    assert client.get(context().rows[0].address).status_code == 200


def test_one_subject_is_searched_alone(client: TestClient, subject: Subject, context: Context) -> None:
    html = client.get("/search?words=excepti*&subject=tiny").text
    assert context().matches.number == 2
    assert 'href="/tiny?words=excepti%2A&amp;sort=-relevance"' in html
    chips = [chip.query for chip in context().chips]
    assert chips == ["?subject=tiny", "?words=excepti%2A&sort=-relevance"]
    assert [client.get(f"/search{query}").status_code for query in chips] == [200, 200]
    assert client.get("/search?words=x&subject=nothing").status_code == 404


@pytest.mark.parametrize("sort", ["", "&sort=-score"])
def test_a_search_that_ranks_a_part_says_so(
    client: TestClient, make: Make, subject: Subject, context: Context, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    for module in ("matches", "listing"):
        monkeypatch.setattr(f"app.queries.neurons.{module}.MANY_SAMPLED", 2)
    for index in range(3, 50):  # of 34 neurons in turn two are in the sample
        make.explained(make.neuron(subject, index=index), "a dog sat")
    html = client.get(f"/search?words=dog{sort}").text
    assert "<b>1,000+</b>" in html
    assert ("another word or filter narrows the search" in html) is not bool(sort)
    assert len(context().rows) == 47 if sort else len(context().rows) in {2, 3}
    assert "narrows the search" not in client.get("/search?words=cat").text


def test_without_words_the_page_shows_what_was_looked_at_lately(
    client: TestClient, subject: Subject, context: Context
) -> None:
    client.get("/tiny/0/1")
    html = client.get("/search").text
    assert "Looked at lately" in html
    assert 'href="/tiny/0/1"' in html
    assert context().matches is None


@pytest.mark.parametrize(
    ("words", "hint"), [("( ) !", "only punctuation"), ("-cat", "has no words"), ("-to", "has no words")]
)
def test_a_search_that_cannot_find_anything_says_why(
    client: TestClient, subject: Subject, context: Context, words: str, hint: str
) -> None:
    assert hint in client.get("/search", params={"words": words}).text
    assert context().rows == ()


def test_the_best_match_needs_words(client: TestClient, subject: Subject) -> None:
    assert client.get("/tiny?sort=-relevance").status_code == 422
    assert "Best match first" not in client.get("/tiny").text
    assert "Best match first" in client.get("/tiny?words=cat").text


def test_facets_lead_to_what_they_count(client: TestClient, subject: Subject, context: Context) -> None:
    html = client.get("/search/facets?words=excepti*").text
    assert 'href="/search?words=excepti%2A&amp;subject=other"' in html
    by_name = {facet.name: facet.values for facet in context().facets}
    for values in by_name.values():
        for value in values:
            client.get(value.address)
            assert context().matches.number == value.n, value
    assert {"Subject", "Layer", "State", "Whole-corpus score", "2023 score", "Author"} <= set(by_name)


def test_facets_of_a_list_lead_to_the_list(client: TestClient, subject: Subject, context: Context) -> None:
    client.get("/search/facets?subject=tiny&to=list&state=explained&layer=0")
    layer = next(facet for facet in context().facets if facet.name == "Layer")
    assert [(v.label, v.n, v.is_set, v.address) for v in layer.values] == [("0", 3, True, "/tiny?state=explained")]
    assert "Subject" not in {facet.name for facet in context().facets}


def test_the_json_twin_has_what_the_page_has(client: TestClient, subject: Subject) -> None:
    found = client.get("/search.json?words=excepti*").json()
    assert {row["neuron"]["explanation"] for row in found["rows"]} == {
        "raises exceptions", "an exception <b>", "exceptional",
    }  # fmt: skip
    counts = client.get("/search/facets.json?words=excepti*").json()
    assert counts["counted"] == {"number": 3, "exact": True}


def test_a_random_match_is_opened_in_its_list(client: TestClient, subject: Subject) -> None:
    answer = client.get("/tiny/random?words=cat")
    assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store")
    assert answer.headers["location"] == "/tiny/0/2?list=words%3Dcat"
    assert client.get("/tiny/random?words=zebra").status_code == 404


def test_a_random_match_of_all_subjects_is_opened_in_the_list_of_its_own(
    client: TestClient, subject: Subject, context: Context
) -> None:
    html = client.get("/search?words=exceptional").text
    assert context().random == "/search/random?words=exceptional&sort=-relevance"
    assert 'href="/search/random?words=exceptional&amp;sort=-relevance"' in html
    answer = client.get(context().random)
    assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store")
    assert answer.headers["location"] in {row.address for row in context().rows}
    opened = {client.get("/search/random?words=excepti*").headers["location"].partition("?")[0] for _ in range(40)}
    assert opened == {"/tiny/0/0", "/tiny/0/1", "/other/1/3"}
    of_one = {client.get("/search/random?words=excepti*&subject=other").headers["location"] for _ in range(5)}
    assert of_one == {"/other/1/3?list=words%3Dexcepti%252A%26sort%3D-relevance"}


@pytest.mark.parametrize("query", ["", "?words=zebra", "?words=-cat", "?words=from", "?words=cat&subject=nothing"])
def test_a_search_that_finds_nothing_has_no_random_match(client: TestClient, subject: Subject, query: str) -> None:
    assert client.get(f"/search/random{query}").status_code == 404


def test_a_search_sends_few_queries_whatever_it_finds(client: TestClient, subject: Subject, engine: Engine) -> None:
    with counted_queries(engine) as sent:
        client.get("/search?words=excepti*")
    assert len(sent) <= 5
    with counted_queries(engine) as sent:
        client.get("/search/facets?words=excepti*")
    assert len(sent) <= 2
    with counted_queries(engine) as sent:
        client.get("/search/random?words=excepti*")
    assert len(sent) <= 4
