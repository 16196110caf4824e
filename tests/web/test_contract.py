"""Generated requests to everything that the OpenAPI document describes, by every role: no crash, and what it promises.

schemathesis reads the document, draws requests that fit it and requests that do not, and checks the responses.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.control import SkipTest
from schemathesis.core.result import Ok
from schemathesis.generation import case as generated
from schemathesis.generation.modes import GenerationMode
from schemathesis.python import asgi
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.db import Sessions
from app.domain.roles import Role
from app.queries.people.logins import create_login_token, log_in
from app.settings import Settings
from app.web.deps import SESSION_COOKIE
from app.web.http.security import SAFE_METHODS
from app.web.main import ROUTERS, create_app
from tests.factories import Make
from tests.web.addressed import Known, addressed

Case: TypeAlias = generated.Case[Any]
Operation: TypeAlias = APIOperation[Any, Any, Any, Any]

PROMISES: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
VISITOR = "visitor"
SHORT, LONG = 2, 60
"""Requests of each kind to each operation."""
FORMS = pytest.param(SHORT, id="short"), pytest.param(LONG, id="full", marks=pytest.mark.soak)
HOST = "http://localhost"
ENDS_SESSIONS = {"/logout", "/account/password", "/account/sessions/{name}/end"}
"""Forms after which the people of the test would be logged out."""


@pytest.fixture
def known(make: Make) -> Known:
    """The path parameters of one of everything that an address can name."""
    return addressed(make)


@pytest.fixture
def people(make: Make) -> dict[str, dict[str, str]]:
    """The headers of requests by who sends them: a visitor, and an account of each role."""
    headers: dict[str, dict[str, str]] = {VISITOR: {}}
    for role in Role:
        account = make.account(f"one {role}", role)
        make.session.flush()
        token = create_login_token(make.session, account_id=account.id, minutes=5)
        make.session.flush()
        cookie = log_in(make.session, login_token=token, days=1)
        make.session.flush()
        headers[role] = {"Cookie": f"{SESSION_COOKIE}={cookie}"}
    return headers


class Sender:
    """Sends each case as every person, and checks the responses. ``statuses`` are by person and operation."""

    def __init__(self, app: FastAPI, people: dict[str, dict[str, str]], checks: list[CheckFunction]) -> None:
        self.app, self.people, self.checks = app, people, checks
        self.statuses: dict[str, dict[str, set[int]]] = {who: {} for who in people}

    def send(self, case: Case) -> None:
        case.headers.pop("Cookie", None)
        case.cookies.clear()
        with asgi.get_client(cast("Any", self.app)) as client:
            for who, headers in self.people.items():
                answer = case.call(base_url=HOST, session=client, headers={"Origin": HOST, **headers})
                case.validate_response(answer, checks=self.checks)
                self.statuses[who].setdefault(case.operation.label, set()).add(answer.status_code)

    def reached(self, who: str) -> set[str]:
        """The operations that have shown this person something."""
        return {label for label, statuses in self.statuses[who].items() if 200 in statuses}


def drawn(operation: Operation, n: int, test: Callable[[Case], None], **known: Any) -> None:
    """Run the test on ``n`` requests that fit the document and on ``n`` that do not."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        try:
            cases = operation.as_strategy(generation_mode=mode, **known)
        except SkipTest:  # nothing about it can be wrong
            assert mode is GenerationMode.NEGATIVE
            continue

        @settings(
            max_examples=n,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        @given(case=cases)
        def holds(case: Case) -> None:
            test(case)

        try:
            holds()
        except Unsatisfiable:  # nothing about it can be wrong
            assert mode is GenerationMode.NEGATIVE


def without_tuples(node: Any) -> Any:
    """The same document with ``prefixItems`` as ``items``, which schemathesis 4.32 turns into what no validator reads.

    What is checked of a pair is then that each of the two is one of both.
    """
    if isinstance(node, list):
        return [without_tuples(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: without_tuples(value) for key, value in node.items()}
    if "prefixItems" in found:
        found["items"] = {"anyOf": found.pop("prefixItems")}
    return found


def operations(document: dict[str, Any], app: FastAPI) -> Iterator[Operation]:
    schema = schemathesis.openapi.from_dict(without_tuples(document))
    schema.app = app
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


@pytest.mark.parametrize("n", FORMS)
def test_every_documented_response_is_what_the_document_says(
    app: FastAPI, known: Known, people: dict[str, dict[str, str]], n: int
) -> None:
    sender = Sender(app, people, PROMISES)
    for operation in operations(app.openapi(), app):
        drawn(operation, n, sender.send)
        values = known_parameters(operation, known)
        if values:
            drawn(operation, n, sender.send, path_parameters=values)
    assert len(sender.statuses[VISITOR]) > 35
    assert len(sender.reached(VISITOR)) > 15, sender.statuses[VISITOR]
    assert max(len(sender.reached(role)) for role in Role) > 28


def known_parameters(operation: Operation, known: Known) -> dict[str, int | str]:
    names = {parameter.name for parameter in operation.path_parameters}
    return {name: known[name] for name in names if name in known}


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch, sessions: Sessions) -> FastAPI:
    """The application with its forms in the document, from which they are left out: they are for browsers."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and not (route.methods or set()) & SAFE_METHODS:
                monkeypatch.setattr(route, "include_in_schema", True)
    return create_app(Settings(), sessions)


@pytest.mark.parametrize("n", FORMS)
def test_no_form_crashes(documented: FastAPI, known: Known, people: dict[str, dict[str, str]], n: int) -> None:
    sender = Sender(documented, people, [not_a_server_error])
    for operation in operations(documented.openapi(), documented):
        is_form = operation.method.upper() not in SAFE_METHODS
        if is_form and operation.path not in ENDS_SESSIONS:
            drawn(operation, n, sender.send, path_parameters=known_parameters(operation, known) or None)
    assert len(sender.statuses[VISITOR]) > 35
    assert all(statuses <= {401, 403, 404, 422, 429} for statuses in sender.statuses[VISITOR].values())
    assert max(len(sender.reached(role)) + len(sender.statuses[role]) for role in Role) > 35
