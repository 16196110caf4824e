"""Every route that changes something refuses what another site lets a browser send, and what shows no credentials."""

import uuid
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.roles import TokenScope
from app.models import Event
from app.queries.people.api_tokens import create_api_token
from app.web.deps import SESSION_COOKIE
from app.web.http.security import SAFE_METHODS
from app.web.main import ROUTERS
from tests.factories import Make
from tests.web.conftest import OWN_PAGE, LogIn

GIVES_A_SESSION = {"/login", "/login/password"}
"""What needs no credentials, since it hands them out."""
HOST = "http://localhost"


def mutating() -> Iterator[tuple[str, str]]:
    """Method and address of every route that changes something, those about neurons with one that exists."""
    known = {"slug": "tiny", "layer": "0", "index": "0"}
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in sorted((route.methods or set()) - SAFE_METHODS):
                    yield method, route.path.format(**dict.fromkeys(route.param_convertors, "1") | known)


ROUTES = sorted(set(mutating()))
FORM = {"name": "mine", "password": "four words in a row", "scope": "read", "days": "1"}
"""What routes of accounts check before they look who asks."""
FORGED = {
    "no Origin": {},
    "an empty Origin": {"Origin": ""},
    "Origin null": {"Origin": "null"},
    "a foreign Origin": {"Origin": "https://evil.example"},
    "our name under another scheme": {"Origin": "https://localhost"},
    "our name at another port": {"Origin": "http://localhost:81"},
    "our name as a beginning": {"Origin": "http://localhost.evil.example"},
    "our name as a user": {"Origin": "http://localhost@evil.example"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "cross-site with our Origin": {"Sec-Fetch-Site": "cross-site", **OWN_PAGE},
    "an unknown site": {"Sec-Fetch-Site": "self"},
}


@pytest.fixture
def session_cookie(client: TestClient, log_in_as: LogIn) -> str:
    """An administrator's session, which a browser adds by itself."""
    log_in_as("alice")
    return str(client.cookies[SESSION_COOKIE])


@pytest.fixture
def bare(client: TestClient) -> Iterator[TestClient]:
    """A client that sends no header of its own accord."""
    with TestClient(client.app, base_url=HOST, follow_redirects=False) as bare:
        yield bare


@pytest.fixture(autouse=True)
def tiny(make: Make) -> None:
    """The neuron of the addresses."""
    make.neuron(make.subject())


def n_events(make: Make) -> int:
    return make.session.scalars(select(func.count()).select_from(Event)).one()


def test_the_matrix_has_every_route_that_changes_something() -> None:
    assert len(ROUTES) > 35
    assert {"POST"} == {method for method, _ in ROUTES}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
def test_no_route_takes_a_cookie_from_another_site(
    bare: TestClient, make: Make, session_cookie: str, headers: dict[str, str]
) -> None:
    bare.cookies.set(SESSION_COOKIE, session_cookie)
    before = n_events(make)
    passed = {path: bare.request(method, path, headers=headers).status_code for method, path in ROUTES}
    assert {path: status for path, status in passed.items() if status != 403} == {}
    assert n_events(make) == before


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {uuid.UUID(int=1)}"},
        {"Authorization": "Basic YWxpY2U6YWxpY2U="},
        {"Cookie": f"{SESSION_COOKIE}=wrong", **OWN_PAGE},
        {"Cookie": f"{SESSION_COOKIE}=", **OWN_PAGE},
    ],
    ids=["none", "an empty token", "a wrong token", "a token of another form", "a password", "a wrong cookie", "empty"],
)
def test_no_route_works_without_credentials(bare: TestClient, make: Make, credentials: dict[str, str]) -> None:
    before = n_events(make)
    wanted = [(method, path) for method, path in ROUTES if path not in GIVES_A_SESSION | {"/logout"}]
    passed = {path: bare.request(method, path, headers=credentials, data=FORM).status_code for method, path in wanted}
    assert {path: status for path, status in passed.items() if status != 401} == {}
    assert n_events(make) == before


def test_a_token_that_may_only_read_changes_nothing(bare: TestClient, make: Make) -> None:
    account = make.account("alice", "administrator")
    token = create_api_token(make.session, account_id=account.id, name="reads", scope=TokenScope.READ, days=1)
    make.session.flush()
    before = n_events(make)
    wanted = [(method, path) for method, path in ROUTES if path not in GIVES_A_SESSION | {"/logout"}]
    headers = {"Authorization": f"Bearer {token}"}
    passed = {path: bare.request(method, path, headers=headers, data=FORM).status_code for method, path in wanted}
    assert {path: status for path, status in passed.items() if status != 403} == {}
    assert n_events(make) == before


@pytest.mark.parametrize("headers", [OWN_PAGE, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_a_form_of_this_site_is_let_through(bare: TestClient, session_cookie: str, headers: dict[str, str]) -> None:
    bare.cookies.set(SESSION_COOKIE, session_cookie)
    assert bare.post("/logout", headers=headers).status_code == 303


def test_a_program_needs_its_token_and_no_origin(bare: TestClient, make: Make) -> None:
    account = make.account("alice", "administrator")
    token = create_api_token(make.session, account_id=account.id, name="works", scope=TokenScope.ALL, days=1)
    make.session.flush()
    answer = bare.post("/tiny/0/0/try/warm-up", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 303
