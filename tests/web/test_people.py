"""Accounts in the browser: invitations, roles, passwords, sessions, tokens."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions, transaction
from app.domain.events import EventKind
from app.domain.roles import Role, TokenScope
from app.models import Account, ApiToken, Event, WebSession
from app.queries.people.accounts import ensure_account
from app.queries.people.api_tokens import create_api_token
from app.queries.people.attempts import count_attempt
from app.queries.people.passwords import set_password
from app.settings import Settings
from app.web.main import create_app
from tests.factories import Make
from tests.web.conftest import OWN_PAGE, LogIn

PASSWORD = "four words in a row"


@pytest.fixture
def stranger(app: FastAPI) -> Iterator[TestClient]:
    """Another browser."""
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as client:
        yield client


def events(session: Session, kind: EventKind) -> int:
    return session.scalars(select(func.count()).select_from(Event).where(Event.kind == kind)).one()


def with_password(session: Session, name: str = "dora", role: Role = Role.REVIEWER) -> Account:
    account = ensure_account(session, name=name, role=role)
    set_password(session, account_id=account.id, password=PASSWORD)
    session.flush()
    return account


def log_in(client: TestClient, name: str, password: str) -> int:
    return client.post("/login/password", data={"name": name, "password": password}).status_code


# Administrators.


def test_an_invitation_logs_in_once(
    client: TestClient, stranger: TestClient, log_in_as: LogIn, session: Session
) -> None:
    log_in_as("alice")
    page = client.post("/people", data={"name": "emil", "role": "reviewer"})
    (token,) = re.findall(r"/login\?token=([\w-]+)", page.text)
    assert stranger.post("/login", data={"token": token}).status_code == 303
    assert "emil" in stranger.get("/").text
    assert stranger.post("/login", data={"token": token}).status_code == 403
    assert "token=" not in client.get("/people").text
    assert events(session, EventKind.ACCOUNT_ADDED) >= 1


def test_a_role_that_is_changed_holds_at_once(
    client: TestClient, stranger: TestClient, log_in_as: LogIn, session: Session
) -> None:
    account = with_password(session, role=Role.ADMINISTRATOR)
    log_in_as("alice")
    assert log_in(stranger, "dora", PASSWORD) == 303
    assert stranger.get("/people").status_code == 200
    assert client.post(f"/people/{account.id}/role", data={"role": "viewer"}).status_code == 303
    assert stranger.get("/people").status_code == 403
    assert events(session, EventKind.ACCOUNT_ROLE_CHANGED) == 1


def test_the_last_administrator_stays_one(client: TestClient, log_in_as: LogIn) -> None:
    alice = log_in_as("alice")
    assert client.post(f"/people/{alice.id}/role", data={"role": "viewer"}).status_code == 409
    assert client.post(f"/people/{alice.id}/disable").status_code == 409
    assert client.get("/people").status_code == 200


def test_a_person_who_is_disabled_is_logged_out(
    client: TestClient, stranger: TestClient, log_in_as: LogIn, session: Session
) -> None:
    account = with_password(session)
    log_in_as("alice")
    log_in(stranger, "dora", PASSWORD)
    assert client.post(f"/people/{account.id}/disable").status_code == 303
    assert stranger.get("/account").status_code == 401
    assert log_in(stranger, "dora", PASSWORD) == 401
    assert client.post(f"/people/{account.id}/enable").status_code == 303
    assert log_in(stranger, "dora", PASSWORD) == 303


def test_the_history_names_the_administrator_and_whom_it_concerns(
    client: TestClient, log_in_as: LogIn, session: Session, make: Make
) -> None:
    victim, alice = make.account("victim"), log_in_as("alice")
    for path in ("disable", "enable"):
        client.post(f"/people/{victim.id}/{path}")
    rows = session.execute(
        select(Event.account_id, Event.detail["account"].astext).where(
            Event.kind.in_([EventKind.ACCOUNT_DISABLED, EventKind.ACCOUNT_ENABLED])
        )
    ).all()
    assert [tuple(row) for row in rows] == [(alice.id, "victim")] * 2


@pytest.mark.parametrize("account_id", ["0", "-1", "999999", "99999999999999999999"])
def test_an_account_that_does_not_exist_is_not_found(client: TestClient, log_in_as: LogIn, account_id: str) -> None:
    log_in_as("alice")
    assert client.post(f"/people/{account_id}/disable").status_code == 404


# Passwords.


def test_a_password_logs_in_and_ends_other_sessions_when_it_is_set(
    client: TestClient, stranger: TestClient, log_in_as: LogIn, session: Session
) -> None:
    bob = log_in_as("bob")
    assert client.post("/account/password", data={"password": PASSWORD}).status_code == 303
    assert log_in(stranger, bob.name, PASSWORD) == 303
    another = {"password": PASSWORD + " more", "current": PASSWORD}
    assert client.post("/account/password", data=another).status_code == 303
    assert client.get("/account").status_code == 200
    assert stranger.get("/account").status_code == 401
    assert log_in(stranger, bob.name, PASSWORD) == 401
    stored = session.scalars(select(Account.password_hash).where(Account.id == bob.id)).one()
    assert stored is not None
    assert stored.startswith("$argon2id$")
    assert events(session, EventKind.PASSWORD_SET) == 2


@pytest.mark.parametrize("password", ["short", "x" * 201, "aaaaaaaaaaaaaaa", "               "])
def test_a_password_that_is_too_easy_or_too_long_is_refused(
    client: TestClient, log_in_as: LogIn, password: str
) -> None:
    log_in_as("bob")
    assert client.post("/account/password", data={"password": password}).status_code == 422


def test_the_same_characters_from_another_keyboard_are_the_same_password(client: TestClient, session: Session) -> None:
    account = ensure_account(session, name="zoé", role=Role.VIEWER)
    set_password(session, account_id=account.id, password="é" * 3 + "caf\u00e9 au lait")
    session.flush()
    assert log_in(client, "zoé", "e\u0301" * 3 + "cafe\u0301 au lait") == 303


def test_unknown_names_and_names_without_a_password_are_hashed_all_the_same(
    client: TestClient, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of an answer tells nobody who has an account: each costs one verification."""
    make.account("bob")
    verified: list[str] = []

    def refuse(stored: str, _password: str) -> bool:
        verified.append(stored)
        return False

    monkeypatch.setattr("app.queries.people.passwords._verified", refuse)
    assert log_in(client, "nobody", PASSWORD) == 401
    assert log_in(client, "bob", PASSWORD) == 401
    assert [stored.split("$")[1] for stored in verified] == ["argon2id", "argon2id"]


def test_ten_wrong_passwords_are_tried_in_all_however_many_come_at_once(fresh_sessions: Sessions) -> None:
    """Over two servers, whose attempts are committed each by itself."""
    with transaction(fresh_sessions) as session:
        with_password(session)
    servers = [
        TestClient(create_app(Settings(), fresh_sessions), base_url="http://localhost", headers=OWN_PAGE)
        for _ in range(2)
    ]
    for server in servers:
        assert server.get("/login").status_code == 200  # routes are built at the first request, by one thread
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: log_in(servers[n % 2], "Dora" if n % 3 else "dora ", "wrong wrong"), range(30))
        )
    assert sorted(Counter(answers).items()) == [(401, 10), (429, 20)]
    assert log_in(servers[0], "dora", PASSWORD) == 429


def test_one_client_tries_so_many_names_and_no_more(fresh_sessions: Sessions) -> None:
    server = TestClient(
        create_app(Settings(client_login_attempts=3), fresh_sessions),
        base_url="http://localhost",
        headers=OWN_PAGE,
    )
    assert [log_in(server, f"name {n}", "wrong wrong") for n in range(5)] == [401, 401, 401, 429, 429]


def test_success_forgets_wrong_attempts(client: TestClient, session: Session) -> None:
    with_password(session)
    for _ in range(3):
        count_attempt(session, of="name dora", most=3, window=timedelta(minutes=15))
        count_attempt(session, of="name dora", most=3, window=timedelta(minutes=15))
        assert log_in(client, "dora", PASSWORD) == 303


# Sessions.


def test_sessions_are_listed_and_ended_one_by_one(client: TestClient, stranger: TestClient, session: Session) -> None:
    with_password(session)
    log_in(client, "dora", PASSWORD)
    stranger.post("/login/password", data={"name": "dora", "password": PASSWORD}, headers={"User-Agent": "<b>other"})
    page = client.get("/account").text
    assert "&lt;b&gt;other" in page
    (name,) = re.findall(r"/account/sessions/(\w+)/end", page)
    assert client.post(f"/account/sessions/{name}/end").status_code == 303
    assert stranger.get("/account").status_code == 401
    assert client.get("/account").status_code == 200
    assert events(session, EventKind.SESSION_ENDED) == 1


def test_nobody_ends_the_session_of_somebody_else(
    client: TestClient, stranger: TestClient, log_in_as: LogIn, session: Session
) -> None:
    with_password(session)
    log_in(stranger, "dora", PASSWORD)
    hash_ = session.scalars(select(WebSession.token_hash)).first()
    assert hash_ is not None
    log_in_as("alice")
    assert client.post(f"/account/sessions/{hash_[:16]}/end").status_code == 404
    assert stranger.get("/account").status_code == 200


# Tokens of programs.


@pytest.fixture
def token_of(session: Session, make: Make) -> Callable[..., str]:
    """A token of a new account."""

    def token_of(role: Role, scope: TokenScope, days: int = 1) -> str:
        account = ensure_account(session, name=f"program of a {role}", role=role)
        token = create_api_token(session, account_id=account.id, name="script", scope=scope, days=days)
        session.flush()
        return token

    return token_of


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_shown_once_and_stored_hashed(client: TestClient, log_in_as: LogIn, session: Session) -> None:
    log_in_as("bob")
    page = client.post("/account/tokens", data={"name": "nightly", "scope": "read", "days": "30"}).text
    (token,) = re.findall(r"na_[\w-]{43}", page)
    assert token not in client.get("/account").text
    stored = session.scalars(select(ApiToken)).one()
    assert token not in (stored.token_hash, stored.name)
    assert events(session, EventKind.TOKEN_CREATED) == 1


def test_a_token_reads_what_its_account_may_read(client: TestClient, token_of: Callable[..., str]) -> None:
    token = token_of(Role.REVIEWER, TokenScope.READ)
    assert client.get("/tasks.json").status_code == 401
    assert client.get("/tasks.json", headers=bearer(token)).status_code == 200


def test_a_token_that_reads_changes_nothing(client: TestClient, token_of: Callable[..., str], make: Make) -> None:
    subject = make.subject()
    make.neuron(subject)
    path = f"/{subject.slug}/0/0/try"
    data = {"text": "hello"}
    assert (
        client.post(path, data=data, headers=bearer(token_of(Role.ADMINISTRATOR, TokenScope.READ))).status_code == 403
    )
    assert client.post(path, data=data, headers=bearer(token_of(Role.ADMINISTRATOR, TokenScope.ALL))).status_code == 303


def test_no_token_changes_an_account(client: TestClient, token_of: Callable[..., str]) -> None:
    headers = bearer(token_of(Role.ADMINISTRATOR, TokenScope.ALL))
    assert client.get("/account", headers=headers).status_code == 403
    assert client.post("/account/password", data={"password": PASSWORD}, headers=headers).status_code == 403
    assert client.post("/people", data={"name": "x", "role": "administrator"}, headers=headers).status_code == 403


@pytest.mark.parametrize("token", ["", "na_wrong", "x" * 5000])
def test_a_token_that_does_not_work_is_refused_rather_than_ignored(client: TestClient, token: str) -> None:
    assert client.get("/index.json", headers=bearer(token)).status_code == 401


def test_a_token_is_revoked(client: TestClient, stranger: TestClient, log_in_as: LogIn, session: Session) -> None:
    log_in_as("bob")
    page = client.post("/account/tokens", data={"name": "nightly", "scope": "all", "days": "30"}).text
    (token,) = re.findall(r"na_[\w-]{43}", page)
    (path,) = re.findall(r"/account/tokens/\d+/revoke", page)
    assert stranger.get("/tasks.json", headers=bearer(token)).status_code == 200
    assert client.post(path).status_code == 303
    assert client.post(path).status_code == 404
    assert stranger.get("/tasks.json", headers=bearer(token)).status_code == 401
    assert events(session, EventKind.TOKEN_REVOKED) == 1


def test_a_token_of_a_disabled_account_does_not_work(
    client: TestClient, token_of: Callable[..., str], session: Session
) -> None:
    token = token_of(Role.REVIEWER, TokenScope.ALL)
    session.scalars(select(Account).where(Account.name == "program of a reviewer")).one().disabled_at = func.now()
    session.flush()
    assert client.get("/tasks.json", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("days", ["0", "366", "-1"])
def test_a_token_lasts_a_year_at_most(client: TestClient, log_in_as: LogIn, days: str) -> None:
    log_in_as("bob")
    assert client.post("/account/tokens", data={"name": "n", "scope": "all", "days": days}).status_code == 422
