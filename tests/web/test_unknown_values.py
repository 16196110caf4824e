"""A query parameter whose value is not one of the page's choices: every page refuses it and does not ignore it."""

from typing import Any

from starlette.testclient import TestClient

from app.queries.people.accounts import account_named
from app.queries.review.taking import Reviewer
from tests.factories import Make
from tests.web.addressed import addressed
from tests.web.test_figures import logged_in

FREE = {"words", "meaning", "token", "text", "by", "made_by", "simulator"}
"""Texts to search for: any value is valid."""
OF_THE_PAGE = {"back", "list", "more"}
"""Where the page was opened from, and which of its sections are shown whole: no choices either."""


def choices(client: TestClient, known: Any) -> list[tuple[str, str]]:
    """(address, field) of every query parameter of every page that is not free text."""
    found = []
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        fields = operations.get("get", {}).get("parameters", [])
        if {field["name"] for field in fields if field["in"] == "path"} <= set(known):
            names = {field["name"] for field in fields if field["in"] == "query"} - FREE - OF_THE_PAGE
            found += [(path.format(**known), name) for name in sorted(names)]
    return found


def test_a_value_that_is_no_choice_is_refused_on_every_page(client: TestClient, make: Make) -> None:
    known = addressed(make)
    logged_in(client, make, Reviewer(account_named(make.session, name="alice").id))
    fields = choices(client, known)
    assert len(fields) > 150
    for address, name in fields:
        # A search begins with words: its cursors are read with them.
        words = {"words": "cats"} if address.startswith("/search") else {}
        for value in ("zzz", "real,zzz", "\u200b", "null"):
            answer = client.get(address, params={**words, name: value})
            assert answer.status_code in (404, 422), f"{address} {name}={value!r}: {answer.status_code}"
            assert answer.json()["status"] == answer.status_code, address
