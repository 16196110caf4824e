"""The way back: after logging in one is where one was, and a used address shows the form again."""

from html import unescape

import pytest
from starlette.testclient import TestClient

from app.queries.people.logins import create_login_token
from tests.factories import Make
from tests.web.conftest import Context


def token_of(make: Make, minutes: int = 5) -> str:
    token = create_login_token(make.session, account_id=make.account().id, minutes=minutes)
    make.session.flush()
    return token


def test_who_follows_the_link_of_a_page_returns_to_it(client: TestClient, make: Make, context: Context) -> None:
    client.get("/login", headers={"Referer": "http://localhost/tiny?state=flagged&layer=0"})
    assert context().next == "/tiny?state=flagged&layer=0"
    answer = client.post("/login", data={"token": token_of(make), "next": context().next})
    assert answer.headers["location"] == "/tiny?state=flagged&layer=0"


def test_a_page_that_needs_an_account_leads_to_the_login_and_back(client: TestClient, make: Make) -> None:
    page = client.get("/batches?by=alice")
    assert page.status_code == 401
    assert "Log in first" in page.text
    assert 'href="/login?next=%2Fbatches%3Fby%3Dalice"' in page.text
    shown = unescape(client.get("/login?next=%2Fbatches%3Fby%3Dalice").text)
    assert '<input type="hidden" name="next" value="/batches?by=alice">' in shown


def test_a_form_whose_session_has_ended_leads_back_to_its_page(client: TestClient, make: Make) -> None:
    make.explained(make.neuron(make.subject()))
    answer = client.post(
        "/tiny/0/0/flags",
        data={"explanation_id": "1", "reason": "wrong"},
        headers={"Referer": "http://localhost/tiny/0/0"},
    )
    assert answer.status_code == 401
    assert 'href="/login?next=%2Ftiny%2F0%2F0"' in answer.text


def test_a_used_address_shows_the_form_again(client: TestClient, make: Make, context: Context) -> None:
    token = token_of(make)
    assert client.post("/login", data={"token": token}).status_code == 303
    again = client.post("/login", data={"token": token, "next": "/methods"})
    assert again.status_code == 403
    assert "used already" in again.text
    assert 'name="token"' in again.text
    assert (context().token, context().next) == ("", "/methods")


def test_an_address_that_is_too_old_shows_the_form_too(client: TestClient, make: Make) -> None:
    assert 'name="password"' in client.post("/login", data={"token": token_of(make, minutes=-1)}).text


@pytest.mark.parametrize(
    "place", ["//evil.example/x", "https://evil.example", "/\\evil", "javascript:alert(1)", "x", "/a\nb", ""]
)
def test_nobody_is_sent_elsewhere_by_logging_in(client: TestClient, make: Make, place: str) -> None:
    answer = client.post("/login", data={"token": token_of(make), "next": place})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("referer", ["https://evil.example/tiny", "http://localhost/login?token=x", "x", ""])
def test_only_a_page_of_this_site_is_returned_to(client: TestClient, context: Context, referer: str) -> None:
    client.get("/login", headers={"Referer": referer})
    assert context().next == "/"


def test_logging_out_forgets_the_neurons_that_were_looked_at(client: TestClient, make: Make) -> None:
    make.neuron(make.subject())
    client.get("/tiny/0/0")
    assert "neuron_audit_visits" in client.cookies
    client.post("/logout")
    assert "neuron_audit_visits" not in client.cookies


def test_errors_have_plain_titles_and_fold_what_operators_need(client: TestClient) -> None:
    page = client.get("/tiny/0/0").text
    assert "<h1>There is nothing here</h1>" in page
    assert page.index("Details for operators") < page.index("Status 404")
