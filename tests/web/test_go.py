"""The field in the bar: to a neuron, to a page, or to a search."""

import pytest
from starlette.testclient import TestClient

from tests.factories import Make


def target(client: TestClient, q: str, subject: str = "") -> str:
    answer = client.get("/go", params={"q": q, "subject": subject}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


@pytest.mark.parametrize("q", ["3/17", " 3 17 ", "3:17", "3, 17", "tiny/3/17", "tiny 3 17", "003/0017"])
def test_layer_and_index_lead_to_the_neuron(client: TestClient, make: Make, q: str) -> None:
    make.subject(slug="tiny")
    assert target(client, q) == "/tiny/3/17"


@pytest.mark.parametrize("q", ["flags", "Flags"])
def test_the_name_of_a_page_leads_there(client: TestClient, make: Make, q: str) -> None:
    make.subject(slug="tiny")
    assert target(client, q) == "/flags"


def test_the_name_of_a_subject_leads_there(client: TestClient, make: Make) -> None:
    make.subject(slug="tiny")
    make.subject(slug="large")
    assert target(client, "LARGE") == "/large"


@pytest.mark.parametrize("q", ["import statements", "99999/1", "1/9999999999", "a/b", "3/"])
def test_anything_else_is_searched_in_explanations(client: TestClient, make: Make, q: str) -> None:
    make.subject(slug="tiny")
    location = target(client, q)
    assert location.startswith("/search?words=")
    assert client.get(location).status_code == 200


def test_among_several_subjects_the_one_that_is_open_is_meant(client: TestClient, make: Make) -> None:
    make.subject(slug="tiny")
    make.subject(slug="large")
    assert target(client, "loops", "tiny") == "/search?words=loops&subject=tiny"
    assert target(client, "loops") == "/search?words=loops"
    assert target(client, "3/17", "tiny") == "/tiny/3/17"
    assert target(client, "large/3/17", "tiny") == "/large/3/17"


def test_among_several_subjects_a_page_asks_which(client: TestClient, make: Make) -> None:
    make.subject(slug="tiny").name = "Tiny <b>"
    make.subject(slug="large")
    make.session.flush()
    answer = client.get("/go", params={"q": "3/17"})
    assert answer.status_code == 200
    assert 'href="/tiny/3/17"' in answer.text
    assert 'href="/large/3/17"' in answer.text
    assert "Tiny &lt;b&gt;" in answer.text


def test_without_a_subject_the_page_says_so(client: TestClient) -> None:
    assert "no subject yet" in client.get("/go", params={"q": "loops"}).text


def test_a_search_that_is_too_long_is_refused(client: TestClient, make: Make) -> None:
    make.subject(slug="tiny")
    assert client.get("/go", params={"q": "x" * 201}).status_code == 422
