"""Every route, requested by everybody: visitors, each role, disabled accounts, tokens of each scope."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.routing import Mount
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.roles import ANONYMOUS, PERMISSIONS, SCOPES, Permission, Role, TokenScope
from app.models import Event
from app.queries.people.accounts import disable_account
from app.queries.people.api_tokens import create_api_token
from app.queries.people.logins import start_session
from app.settings import Settings
from app.web.deps import SESSION_COOKIE
from app.web.main import create_app
from tests.factories import Make
from tests.web.everything import MUTATIONS, one_of_everything

P = Permission
OPEN = None
"""Needs no permission, even where every page needs an account."""

ROUTES: dict[str, Permission | None] = {
    # A page's JSON twin needs what the page needs, and HEAD what GET needs.
    "GET /": P.READ,
    "GET /account": P.MANAGE_OWN_ACCOUNT,
    "GET /account/factor": P.MANAGE_OWN_ACCOUNT,
    "GET /activity": P.READ,
    "GET /api/subjects/{slug}/explanations": P.READ,
    "GET /api/subjects/{slug}/neurons": P.READ,
    "GET /api/subjects/{slug}/scores": P.READ,
    "GET /batches": P.READ_OPERATIONS,
    "GET /batches/{batch_id}": P.READ_OPERATIONS,
    "GET /bill": P.READ_OPERATIONS,
    "GET /calls/{call_id}": P.READ_OPERATIONS,
    "GET /campaigns": P.READ,
    "GET /campaigns/new": P.MANAGE_CAMPAIGNS,
    "GET /campaigns/{campaign_id}": P.READ,
    "GET /campaigns/{campaign_id}/export/{table}.{format}": P.ADJUDICATE,  # until it has ended; then P.READ
    "GET /campaigns/{campaign_id}/figures": P.READ,
    "GET /campaigns/{campaign_id}/report": P.ADJUDICATE,
    "GET /campaigns/{campaign_id}/report.pdf": P.ADJUDICATE,
    "GET /campaigns/{campaign_id}/rules": P.MANAGE_CAMPAIGNS,
    "GET /campaigns/{campaign_id}/statements": P.MANAGE_CAMPAIGNS,
    "GET /draws/{draw_id}": P.MANAGE_CAMPAIGNS,
    "GET /embeddings": P.READ_OPERATIONS,
    "GET /explanations/{explanation_id}": P.READ,
    "GET /explanations/{explanation_id}/flag": P.FLAG,
    "GET /exports/{task_id}": P.QUEUE,
    "GET /flags": P.READ,
    "GET /flags/{flag_id}": P.READ,
    "GET /go": P.READ,
    "GET /guide": P.READ,
    "GET /guide/glossary": P.READ,
    "GET /guide/lexical": P.READ,
    "GET /guide/scores": P.READ,
    "GET /health": OPEN,
    "GET /imports": P.READ_OPERATIONS,
    "GET /imports/{import_id}": P.READ_OPERATIONS,
    "GET /items/{item_id}": P.REVIEW,
    "GET /lists": P.READ,
    "GET /lists/{list_id}": P.READ,
    "GET /login": OPEN,
    "GET /login/openid": OPEN,
    "GET /login/openid/callback": OPEN,
    "GET /login/openid/end": OPEN,
    "GET /login/openid/ended": OPEN,
    "GET /methods": P.READ,
    "GET /methods/compare": P.READ,
    "GET /methods/{method_id}": P.READ,
    "GET /openapi": P.READ,
    "GET /mine": P.READ_OPERATIONS,
    "GET /people": P.MANAGE_PEOPLE,
    "GET /providers": P.MANAGE_PROVIDERS,
    "GET /providers/new": P.MANAGE_PROVIDERS,
    "GET /providers/{provider_id}": P.MANAGE_PROVIDERS,
    "GET /review/verdicts": P.REVIEW,
    "GET /review/{slot_id}": P.REVIEW,
    "GET /runs/{run_id}": P.READ_OPERATIONS,
    "GET /search": P.READ,
    "GET /search/facets": P.READ,
    "GET /search/random": P.READ,
    "GET /searches/{key}": P.READ,
    "GET /static": OPEN,
    "GET /subjects/new": P.QUEUE,
    "GET /subjects/new/{task_id}": P.QUEUE,
    "GET /tasks": P.READ_OPERATIONS,
    "GET /tasks/{task_id}": P.READ_OPERATIONS,
    "GET /{slug}": P.READ,
    "GET /{slug}/against": P.READ,
    "GET /{slug}/atlas": P.READ,
    "GET /{slug}/atlas.bin": P.READ,
    "GET /{slug}/bulk": P.MANAGE_CAMPAIGNS,
    "GET /{slug}/firing": P.READ,
    "GET /{slug}/lists": P.KEEP_LISTS,
    "GET /{slug}/neurons.{format}": P.READ,
    "GET /{slug}/plots": P.READ,
    "GET /{slug}/queue": P.QUEUE,
    "GET /{slug}/random": P.READ,
    "GET /{slug}/tokens": P.READ,
    "GET /{slug}/{layer}/{index}": P.READ,
    "GET /{slug}/{layer}/{index}/compare": P.READ,
    "GET /{slug}/{layer}/{index}/excerpts/{excerpt_id}": P.READ,
    "GET /{slug}/{layer}/{index}/like": P.READ,
    "GET /{slug}/{layer}/{index}/preview.png": P.READ,
    "GET /{slug}/{layer}/{index}/progress": P.READ,
    "GET /{slug}/{layer}/{index}/similar": P.READ,
    "GET /{slug}/{layer}/{index}/try": P.READ,
    "POST /account/confirm": P.MANAGE_OWN_ACCOUNT,
    "POST /account/factor": P.MANAGE_OWN_ACCOUNT,
    "POST /account/factor/remove": P.MANAGE_OWN_ACCOUNT,
    "POST /account/password": P.MANAGE_OWN_ACCOUNT,
    "POST /account/sessions/{name}/end": P.MANAGE_OWN_ACCOUNT,
    "POST /account/tokens": P.MANAGE_OWN_ACCOUNT,
    "POST /account/tokens/{token_id}/revoke": P.MANAGE_OWN_ACCOUNT,
    "POST /batches/{batch_id}/cancel": P.CANCEL,
    "POST /campaigns": P.MANAGE_CAMPAIGNS,
    "POST /campaigns/{campaign_id}/end": P.MANAGE_CAMPAIGNS,
    "POST /campaigns/{campaign_id}/model-review": P.QUEUE,
    "POST /campaigns/{campaign_id}/next": P.REVIEW,
    "POST /campaigns/{campaign_id}/rules": P.MANAGE_CAMPAIGNS,
    "POST /campaigns/{campaign_id}/statements": P.MANAGE_CAMPAIGNS,
    "POST /draws/{draw_id}/withdraw": P.MANAGE_CAMPAIGNS,
    "POST /embeddings/{slug}": P.QUEUE,
    "POST /explanations/{explanation_id}/flags": P.FLAG,
    "POST /explanations/{explanation_id}/replay": P.QUEUE,
    "POST /explanations/{explanation_id}/score": P.QUEUE,
    "POST /exports": P.QUEUE,
    "POST /imports": P.QUEUE,
    "POST /imports/{import_id}/show": P.QUEUE,
    "POST /flags/{flag_id}/resolve": P.REVIEW,
    "POST /flags/{flag_id}/withdraw": P.FLAG,
    "POST /items/{item_id}/send-back": P.ADJUDICATE,
    "POST /items/{item_id}/take": P.REVIEW,
    "POST /lists/{list_id}/delete": P.KEEP_LISTS,
    "POST /lists/{list_id}/name": P.KEEP_LISTS,
    "POST /lists/{list_id}/neurons/{neuron_id}": P.KEEP_LISTS,
    "POST /login": OPEN,
    "POST /login/password": OPEN,
    "POST /logout": P.READ,
    "POST /mine/seen": P.MANAGE_OWN_ACCOUNT,
    "POST /people": P.MANAGE_PEOPLE,
    "POST /search/meaning": P.TRY,
    "POST /searches": P.KEEP_LISTS,
    "POST /searches/{search_id}/delete": P.KEEP_LISTS,
    "POST /{slug}/lists": P.KEEP_LISTS,
    "POST /people/{account_id}/address": P.MANAGE_PEOPLE,
    "POST /people/{account_id}/cap": P.MANAGE_PEOPLE,
    "POST /people/{account_id}/disable": P.MANAGE_PEOPLE,
    "POST /people/{account_id}/email": P.MANAGE_PEOPLE,
    "POST /people/{account_id}/enable": P.MANAGE_PEOPLE,
    "POST /people/{account_id}/factor/reset": P.MANAGE_PEOPLE,
    "POST /people/{account_id}/role": P.MANAGE_PEOPLE,
    "POST /providers": P.MANAGE_PROVIDERS,
    "POST /providers/{provider_id}": P.MANAGE_PROVIDERS,
    "POST /providers/{provider_id}/disable": P.MANAGE_PROVIDERS,
    "POST /providers/{provider_id}/enable": P.MANAGE_PROVIDERS,
    "POST /providers/{provider_id}/key": P.MANAGE_PROVIDERS,
    "POST /providers/{provider_id}/key/delete": P.MANAGE_PROVIDERS,
    "POST /providers/{provider_id}/probe": P.MANAGE_PROVIDERS,
    "POST /review/{slot_id}/guess": P.REVIEW,
    "POST /review/{slot_id}/renew": P.REVIEW,
    "POST /review/{slot_id}/skip": P.REVIEW,
    "POST /review/{slot_id}/verdict": P.REVIEW,
    "POST /runs/{run_id}/cancel": P.CANCEL,
    "POST /runs/{run_id}/retry": P.QUEUE,
    "POST /subjects/new": P.QUEUE,
    "POST /subjects/new/{task_id}/collect": P.QUEUE,
    "POST /tasks/{task_id}/cancel": P.CANCEL,
    "POST /tasks/{task_id}/retry": P.QUEUE,
    "POST /verdicts/{verdict_id}/undo": P.REVIEW,
    "POST /{slug}/bulk/campaign": P.MANAGE_CAMPAIGNS,
    "POST /{slug}/bulk/flag": P.MANAGE_CAMPAIGNS,
    "POST /{slug}/check": P.QUEUE,
    "POST /{slug}/firing": P.TRY,
    "POST /{slug}/queue": P.QUEUE,
    "POST /{slug}/{layer}/{index}/explanations": P.QUEUE,
    "POST /{slug}/{layer}/{index}/flags": P.FLAG,
    "POST /{slug}/{layer}/{index}/runs": P.QUEUE,
    "POST /{slug}/{layer}/{index}/try": P.TRY,
    "POST /{slug}/{layer}/{index}/try/warm-up": P.TRY,
}
"""What each route requires: the whole site in one table. A route that is not here fails a test."""

FORMS = {mutation.path: mutation.form for mutation in MUTATIONS}
QUERIES = {f"GET /{{slug}}/{page}": {"neuron": "{neuron}"} for page in ("bulk", "lists", "queue")}
"""What pages need in their addresses."""
UNASKED = {
    "GET /campaigns/{campaign_id}/export/{table}.{format}",
    "GET /campaigns/{campaign_id}/report",
    "GET /campaigns/{campaign_id}/report.pdf",
}
"""What those who may be asked for a verdict are refused, whatever they may do elsewhere."""
REFUSALS = (401, 403)


@dataclass(frozen=True)
class Principal:
    """Somebody who requests every route."""

    name: str
    role: Role | None = None
    scope: TokenScope | None = None
    is_disabled: bool = False

    @property
    def permissions(self) -> frozenset[Permission]:
        """What is not refused."""
        if self.is_disabled or self.role is None:
            return ANONYMOUS
        allowed = PERMISSIONS[self.role]
        return allowed if self.scope is None else allowed & SCOPES[self.scope]


PRINCIPALS = (
    Principal("a visitor"),
    *(Principal(f"a person: {role}", role) for role in Role),
    Principal("a disabled administrator", Role.ADMINISTRATOR, is_disabled=True),
    *(Principal(f"a program of an administrator: {scope}", Role.ADMINISTRATOR, scope) for scope in TokenScope),
    *(Principal(f"a program of a {role}: all", role, TokenScope.ALL) for role in (Role.VIEWER, Role.REVIEWER)),
)


@dataclass(frozen=True)
class Asked:
    """One request to one route."""

    method: str
    path: str
    key: str
    """Of ROUTES."""

    def send(self, client: TestClient, things: dict[str, Any], headers: dict[str, str] | None = None) -> int:
        """The status of the response to a request with these headers."""
        client.cookies.clear()  # a logout deletes them
        elsewhere = {"campaign_id": things["named_campaign_id"]} if self.key in UNASKED else {}
        address = self.path.format(**things | elsewhere)
        if self.method != "POST":
            query = {name: value.format(**things) for name, value in QUERIES.get(self.key, {}).items()}
            return client.request(self.method, address, params=query, headers=headers).status_code
        form = {name: value.format(**things) for name, value in FORMS.get(self.path, {}).items()}
        own_page = {"Sec-Fetch-Site": "same-origin", **(headers or {})}
        return client.post(address, data=form, headers=own_page).status_code


def requests_of(app: FastAPI) -> Iterator[Asked]:
    """One request for each route and method that the application serves."""
    yield Asked("GET", "/static/icon.svg", "GET /static")
    for route in app.state.routes:
        path = re.sub(r":\w+}", "}", route.path)
        page = "/" if path == "/index.json" else path.removesuffix(".json")
        for method in sorted(route.methods or ()):
            yield Asked(method, path, f"{'GET' if method == 'HEAD' else method} {page}")


@pytest.fixture
def things(make: Make) -> dict[str, Any]:
    """One of everything that an address can name."""
    made = one_of_everything(make)
    return made | {"table": "verdicts", "format": "csv", "call_id": 1, "excerpt_id": 1, "method_id": made["method"]}


def headers_of(who: Principal, make: Make) -> dict[str, str]:
    """What this principal holds: nothing, the cookie of a session, or a token."""
    if who.role is None:
        return {}
    make.account("alice")  # somebody else, so that no principal is the last administrator
    account = make.account("principal", who.role)
    if who.scope is None:
        headers = {"Cookie": f"{SESSION_COOKIE}={start_session(make.session, account_id=account.id, days=1, agent='')}"}
    else:
        token = create_api_token(make.session, account_id=account.id, name="t", scope=who.scope, days=1)
        headers = {"Authorization": f"Bearer {token}"}
    if who.is_disabled:
        disable_account(make.session, name="principal")
    make.session.flush()
    return headers


def test_the_table_lists_every_route_and_no_other(app: FastAPI) -> None:
    assert {asked.key for asked in requests_of(app)} == set(ROUTES)
    assert [route.path for route in app.routes if isinstance(route, Mount)] == ["/static"]


@pytest.mark.parametrize("who", PRINCIPALS, ids=lambda who: who.name)
def test_nobody_does_or_sees_what_is_not_permitted(
    app: FastAPI, client: TestClient, make: Make, things: dict[str, Any], who: Principal
) -> None:
    headers, session = headers_of(who, make), make.session
    refusal = 401 if who.role is None or who.is_disabled else 403
    wrong = []
    for asked in requests_of(app):
        before = n_events(session)
        undone = session.connection().begin_nested()  # each request finds the same state
        status = asked.send(client, things, headers)
        changed = n_events(session) - before
        undone.rollback()
        needed = ROUTES[asked.key]
        if needed is None or needed in who.permissions:
            is_right = status not in REFUSALS and status < 500
        else:
            is_right = status == refusal and changed == 0
        if not is_right:
            wrong.append((asked.method, asked.path, status, changed))
    assert wrong == []


def test_where_an_account_is_required_a_visitor_sees_the_login_alone(
    sessions: Sessions, things: dict[str, Any]
) -> None:
    app = create_app(Settings(require_account=True), sessions)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        seen = {asked.key for asked in requests_of(app) if asked.send(client, things) != 401}
    assert seen == {key for key, needed in ROUTES.items() if needed is OPEN}


@pytest.mark.parametrize("token", ["", "na_wrong", "of a disabled account"])
def test_a_token_that_does_not_work_is_refused_everywhere(
    app: FastAPI, client: TestClient, make: Make, things: dict[str, Any], token: str
) -> None:
    if token == "of a disabled account":
        account = make.account("principal")
        token = create_api_token(make.session, account_id=account.id, name="t", scope=TokenScope.ALL, days=1)
        disable_account(make.session, name="principal")
        make.session.flush()
    headers = {"Authorization": f"Bearer {token}"}
    asked = [each for each in requests_of(app) if each.key not in ("GET /static", "GET /health")]
    assert [each for each in asked if each.send(client, things, headers) != 401] == []


def n_events(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Event)).one()
