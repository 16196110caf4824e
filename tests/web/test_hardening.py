"""What browsers are told, what addresses and logs cannot be made to do, and what safe methods leave alone."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.db import Sessions
from app.log import configure_logging
from app.models import Event
from app.settings import Settings
from app.web.http.static import static_files
from app.web.main import ROUTERS, create_app
from tests.factories import Make
from tests.web.addressed import Known, addressed
from tests.web.conftest import LogIn

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "static").glob("*.js"))
KEPT_BY_BROWSERS = {"neuron-audit-keys-off", "neuron-audit-theme", "neuron-audit-paused"}
"""Whether keys are on, light or dark, whether pages renew themselves."""


@pytest.fixture
def known(make: Make) -> Known:
    return addressed(make)


def pages(known: Known) -> Iterator[str]:
    """Every page and its twin, with one of everything in their addresses."""
    for router in ROUTERS:
        for route in router.routes:
            if not isinstance(route, APIRoute) or "GET" not in (route.methods or ()):
                continue
            if set(route.param_convertors) <= set(known):
                yield route.path.format(**known)


def as_administrator(client: TestClient, make: Make) -> None:
    from app.queries.people.accounts import account_named
    from app.queries.review.taking import Reviewer
    from tests.web.test_figures import logged_in

    logged_in(client, make, Reviewer(account_named(make.session, name="alice").id))


def test_reading_every_page_leaves_no_event(client: TestClient, make: Make, known: Known) -> None:
    as_administrator(client, make)
    count = select(func.count()).select_from(Event)
    before = make.session.scalar(count)
    statuses = {path: client.request(method, path).status_code for method in ("GET", "HEAD") for path in pages(known)}
    assert make.session.scalar(count) == before
    assert sum(status == 200 for status in statuses.values()) > 60


def test_no_response_lets_another_origin_read_it(client: TestClient, known: Known) -> None:
    for path in pages(known):
        for method in ("GET", "OPTIONS"):
            headers = client.request(method, path, headers={"Origin": "https://evil.example"}).headers
            assert "access-control-allow-origin" not in headers, path


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "%2f%2fevil.example"]
)
def test_no_redirect_leads_elsewhere(client: TestClient, make: Make, elsewhere: str) -> None:
    make.neuron(make.subject())
    for address in (f"/{elsewhere}", f"/go?q={elsewhere}", f"/login?token={elsewhere}", f"/tiny?after={elsewhere}"):
        location = client.get(address).headers.get("location", "/")
        assert re.match(r"/(?![/\\])|http://localhost/(?![/\\])", location), location


def test_every_page_has_a_way_to_log_out(client: TestClient, make: Make, known: Known) -> None:
    as_administrator(client, make)
    for path in pages(known):
        answer = client.get(path)
        if answer.status_code == 200 and "<!DOCTYPE html>" in answer.text and not path.endswith("/report"):
            assert 'action="/logout"' in answer.text, path


def test_fields_for_secrets_are_hidden_and_let_managers_in(client: TestClient, log_in_as: LogIn) -> None:
    page = client.get("/login").text
    log_in_as("alice")
    fields = re.findall(r"<input[^>]*>", page + client.get("/account").text)
    secret = [field for field in fields if re.search(r'name="(\w*password|token)"', field) and "hidden" not in field]
    assert secret
    for field in secret:
        assert 'type="password"' in field or 'name="token"' in field, field
        assert "onpaste" not in field
    assert [field for field in secret if "current-password" in field]
    assert [field for field in secret if "new-password" in field]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_store_only_how_pages_look(script: Path) -> None:
    source = script.read_text()
    assert not re.search(r"indexedDB|document\.cookie|\beval\(|new Function|postMessage", source)
    names = set(re.findall(r'"(neuron-audit-[\w-]+)"', source))
    assert names <= KEPT_BY_BROWSERS
    assert bool(re.search("localStorage|sessionStorage", source)) == bool(names)


@pytest.mark.parametrize(
    "path",
    ["", "css", "css/", "css/../keys.js/x", "../pyproject.toml", "..%2fpyproject.toml", "%2e%2e/pyproject.toml",
     "css/%2e%2e/%2e%2e/README.md", "/etc/passwd", "%2fetc%2fpasswd", "css\\..\\keys.js", "keys.js%00.css"],
)  # fmt: skip
def test_only_files_of_the_static_folder_are_served(client: TestClient, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert "Index of" not in answer.text
    assert not [name for name in static_files() if name.startswith(".") or name.endswith((".py", ".key"))]


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG"])
@pytest.mark.parametrize("path", ["/", "/login", "/static/keys.js", "/index.json"])
def test_methods_that_nobody_needs_are_refused(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code in (403, 405)


@pytest.mark.parametrize(
    ("public_url", "told"),
    [
        ("https://audit.example.org", "max-age=31536000; includeSubDomains"),
        ("http://audit.example.org", None),
        (None, None),
    ],
)
def test_a_site_with_a_public_https_address_is_remembered_as_one(
    sessions: Sessions, public_url: str | None, told: str | None
) -> None:
    client = TestClient(create_app(Settings(public_url=public_url), sessions), base_url="http://localhost")
    for path in ("/", "/static/keys.js", "/nothing/here"):
        assert client.get(path).headers.get("strict-transport-security") == told


def test_every_refusal_is_a_line_of_the_log(
    client: TestClient, make: Make, log_in_as: LogIn, capsys: pytest.CaptureFixture[str]
) -> None:
    make.neuron(make.subject())
    configure_logging(Settings(log_format="json"))
    client.post("/login/password", data={"name": "nobody", "password": "wrong wrong wrong"})
    client.get("/bill")
    log_in_as("charlie")
    client.get("/people")
    client.post("/people", headers={"Origin": "https://evil.example"})
    client.get("/", headers={"Host": "evil.example"})
    structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    refusals = [(line["path"], line["status"]) for line in lines if line["event"] == "request"]
    assert refusals == [("/login/password", 401), ("/bill", 401), ("/people", 403), ("/people", 403), ("/", 421)]
    assert all({"timestamp", "level", "method", "request_id"} <= set(line) for line in lines)


@pytest.mark.parametrize("added", ["%0a", "%0d%0a", "%1b[2K", "%e2%80%a8", "%22%2c%22status%22:200%2c%22x%22:%22"])
@pytest.mark.parametrize("form", ["json", "console"])
def test_an_address_cannot_add_a_line_to_the_log(
    client: TestClient, capsys: pytest.CaptureFixture[str], form: Any, added: str
) -> None:
    configure_logging(Settings(log_format=form))
    client.get(f"/nothing{added}2026-01-01 [info] request path=/forged status=200")
    structlog.reset_defaults()
    written = capsys.readouterr().err
    (line,) = [each for each in written.split("\n") if "forged" in each]
    assert line.isprintable()
    assert "404" in line
