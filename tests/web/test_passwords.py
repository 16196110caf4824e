"""What a password may be, when one is asked for again, and when sessions end that nobody uses."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from app.db import Sessions, transaction
from app.domain.bounds import SHORTEST_PASSWORD
from app.domain.events import EventKind
from app.domain.roles import Role
from app.errors import Invalid
from app.models import Event, WebSession
from app.queries.people.accounts import ensure_account
from app.queries.people.passwords import set_password
from app.settings import Settings
from app.web.deps import SESSION_COOKIE
from app.web.main import create_app
from tests.web.conftest import OWN_PAGE, LogIn
from tests.web.test_people import PASSWORD, events, log_in, with_password


@pytest.mark.parametrize("current", ["", "another one in a row"])
def test_the_current_password_is_asked_for(
    client: TestClient, log_in_as: LogIn, session: Session, current: str
) -> None:
    bob = log_in_as("bob")
    set_password(session, account_id=bob.id, password=PASSWORD, kept_session=client.cookies[SESSION_COOKIE])
    session.flush()
    assert "Current password" in client.get("/account").text
    refused = client.post("/account/password", data={"password": PASSWORD + " more", "current": current})
    assert refused.status_code == 403
    assert "not your current password" in refused.text
    assert events(session, EventKind.PASSWORD_SET) == 1


def test_common_passwords_are_refused(session: Session) -> None:
    """All that are long enough of the 30,000 most frequent in breaches, as they are and slightly changed."""
    account = ensure_account(session, name="dora", role=Role.VIEWER)
    common = [each for each in FREQUENCY_LISTS["passwords"] if len(each) >= SHORTEST_PASSWORD]
    assert len(common) > 200
    for password in common:
        for variant in (password, password.capitalize(), password + "1"):
            with pytest.raises(Invalid, match="too easy to guess"):
                set_password(session, account_id=account.id, password=variant)


@pytest.mark.parametrize(
    "password",
    ["password1234", "qwertyuiop12345", "iloveyouforever", "dora dora dora", "neuronaudit1", "202620262026"],
)
def test_easy_passwords_that_no_list_holds_are_refused(session: Session, password: str) -> None:
    account = ensure_account(session, name="dora", role=Role.VIEWER)
    with pytest.raises(Invalid, match="too easy to guess"):
        set_password(session, account_id=account.id, password=password)


SENSITIVE: tuple[tuple[str, dict[str, str]], ...] = (
    ("/people", {"name": "emil", "role": "viewer"}),
    ("/people/{id}/role", {"role": "viewer"}),
    ("/people/{id}/email", {"email": "dora@example.org"}),
    ("/people/{id}/address", {}),
    ("/people/{id}/disable", {}),
    ("/people/{id}/enable", {}),
    ("/account/tokens", {"name": "script", "scope": "read", "days": "1"}),
    ("/account/password", {"password": PASSWORD}),
)


@pytest.mark.parametrize(("path", "form"), SENSITIVE)
def test_what_changes_accounts_is_refused_some_time_after_the_login(
    client: TestClient, log_in_as: LogIn, session: Session, path: str, form: dict[str, str]
) -> None:
    dora = ensure_account(session, name="dora", role=Role.REVIEWER)
    log_in_as("alice")
    session.execute(update(WebSession).values(confirmed_at=func.now() - timedelta(minutes=31)))
    before = session.scalars(select(func.count()).select_from(Event)).one()
    refused = client.post(path.format(id=dora.id), data=form)
    assert refused.status_code == 403
    assert "still you" in refused.text
    assert session.scalars(select(func.count()).select_from(Event)).one() == before
    for page in ("/people", "/account"):
        assert "log out and in again" in client.get(page).text


def test_a_password_confirms_for_a_while(client: TestClient, log_in_as: LogIn, session: Session) -> None:
    alice = log_in_as("alice")
    set_password(session, account_id=alice.id, password=PASSWORD, kept_session=client.cookies[SESSION_COOKIE])
    session.execute(update(WebSession).values(confirmed_at=func.now() - timedelta(minutes=31)))
    assert 'action="/account/confirm"' in client.get("/people").text
    assert client.post("/account/confirm", data={"password": "wrong wrong"}).status_code == 403
    assert client.post("/people", data={"name": "emil", "role": "viewer"}).status_code == 403
    confirmed = client.post("/account/confirm", data={"password": PASSWORD, "next": "/people"})
    assert (confirmed.status_code, confirmed.headers["location"]) == (303, "/people")
    assert 'action="/account/confirm"' not in client.get("/people").text
    assert client.post("/people", data={"name": "emil", "role": "viewer"}).status_code == 200


def test_guesses_at_the_current_password_are_limited_with_those_to_log_in(fresh_sessions: Sessions) -> None:
    with transaction(fresh_sessions) as session:
        with_password(session)
    server = TestClient(
        create_app(Settings(login_attempts=4), fresh_sessions), base_url="http://localhost", headers=OWN_PAGE
    )
    server.follow_redirects = False
    assert log_in(server, "dora", PASSWORD) == 303
    guesses = [server.post("/account/confirm", data={"password": "wrong wrong"}).status_code for _ in range(3)]
    guesses += [
        server.post("/account/password", data={"password": PASSWORD + "!", "current": "wrong wrong"}).status_code
        for _ in range(2)
    ]
    assert guesses == [403, 403, 403, 403, 429]
    assert log_in(server, "dora", PASSWORD) == 429


def test_requests_keep_a_session_that_would_end_unused(fresh_sessions: Sessions) -> None:
    with transaction(fresh_sessions) as session:
        with_password(session)
    server = TestClient(create_app(Settings(), fresh_sessions), base_url="http://localhost", headers=OWN_PAGE)
    server.follow_redirects = False
    assert log_in(server, "dora", PASSWORD) == 303

    def unused_for(hours: int) -> None:
        with transaction(fresh_sessions) as session:
            session.execute(update(WebSession).values(seen_at=func.now() - timedelta(hours=hours)))

    unused_for(71)
    assert server.get("/account").status_code == 200
    with transaction(fresh_sessions) as session:
        assert session.scalars(select(WebSession.seen_at > func.now() - timedelta(hours=1))).one()
    unused_for(73)
    assert server.get("/account").status_code == 401
