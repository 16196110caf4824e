from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions, transaction
from app.domain.review import ReviewerKind
from app.domain.roles import Role
from app.errors import Conflict, Invalid, NotFound
from app.models import Event, LoginToken, WebSession
from app.queries.people.accounts import (
    account_named,
    add_account,
    disable_account,
    enable_account,
    ensure_account,
    people_shown,
)
from app.queries.people.logins import LoginFailed, create_login_token, log_in, log_out
from app.queries.people.viewers import viewer_of
from app.queries.review.reviewers import reviewer_account
from tests.factories import Make


def test_an_account_is_made_once(session: Session) -> None:
    first = ensure_account(session, name="owner", role=Role.ADMINISTRATOR)
    assert ensure_account(session, name="owner", role=Role.VIEWER).id == first.id
    with pytest.raises(Conflict, match="owner"):
        add_account(session, name="owner", role=Role.ADMINISTRATOR)


LIMITS = {"idle_hours": 72, "confirm_minutes": 30}


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65, "a\nb"])
def test_a_bad_name_is_refused(session: Session, name: str) -> None:
    with pytest.raises(Invalid):
        add_account(session, name=name, role=Role.VIEWER)


def test_the_command_refuses_a_role_that_does_not_exist() -> None:
    refused = CliRunner().invoke(cli, ["user", "add", "anna", "--role", "emperor"])
    assert refused.exit_code == 2
    assert "reviewer" in refused.output


def test_an_unknown_account_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="nobody"):
        account_named(session, name="nobody")


def test_a_token_is_stored_as_its_digest_only(session: Session, make: Make) -> None:
    token = create_login_token(session, account_id=make.account().id, minutes=5)
    session.flush()
    assert token not in session.scalars(select(LoginToken.token_hash)).all()


def test_a_session_ends_by_itself(session: Session, make: Make) -> None:
    token = create_login_token(session, account_id=make.account().id, minutes=5)
    session.flush()
    assert viewer_of(session, session_token=log_in(session, login_token=token, days=-1), **LIMITS) is None


def test_a_session_that_nobody_uses_ends(session: Session, make: Make) -> None:
    token = create_login_token(session, account_id=make.account().id, minutes=5)
    session.flush()
    session_token = log_in(session, login_token=token, days=14)
    session.flush()
    for hours, is_good in ((71, True), (73, False)):
        session.execute(update(WebSession).values(seen_at=func.now() - timedelta(hours=hours)))
        assert (viewer_of(session, session_token=session_token, **LIMITS) is not None) is is_good


def test_a_disabled_account_is_nobody(session: Session, make: Make) -> None:
    account = make.account()
    token = create_login_token(session, account_id=account.id, minutes=5)
    session.flush()
    session_token = log_in(session, login_token=token, days=1)
    account.disabled_at = account.created_at
    session.flush()
    assert viewer_of(session, session_token=session_token, **LIMITS) is None


def test_a_disabled_account_loses_its_sessions_and_its_login_addresses(session: Session, make: Make) -> None:
    account = make.account()
    used, unused = (create_login_token(session, account_id=account.id, minutes=5) for _ in range(2))
    session.flush()
    session_token = log_in(session, login_token=used, days=1)
    session.flush()
    assert disable_account(session, name="alice") == 1
    session.flush()
    assert viewer_of(session, session_token=session_token, **LIMITS) is None
    enable_account(session, name="alice")
    session.flush()
    assert viewer_of(session, session_token=session_token, **LIMITS) is None
    with pytest.raises(LoginFailed):
        log_in(session, login_token=unused, days=1)
    kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert [kind for kind in kinds if "abled" in kind] == ["account.disabled", "account.enabled"]


def test_what_is_disabled_gets_no_login_address_and_is_disabled_once(session: Session, make: Make) -> None:
    account = make.account()
    with pytest.raises(Conflict, match="not disabled"):
        enable_account(session, name="alice")
    disable_account(session, name="alice")
    with pytest.raises(Conflict, match="disabled already"):
        disable_account(session, name="alice")
    with pytest.raises(Conflict, match="neuron-audit user enable alice"):
        create_login_token(session, account_id=account.id, minutes=5)


def test_the_command_line_adds_lists_and_logs_in(
    fresh_database: str, fresh_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    runner = CliRunner()
    assert "/login?token=" in runner.invoke(cli, ["user", "add", "bob", "--role", "reviewer"]).output
    assert "bob\treviewer" in runner.invoke(cli, ["user", "list"]).output
    assert "0 sessions were ended" in runner.invoke(cli, ["user", "disable", "bob"]).output
    assert "bob\treviewer (disabled)" in runner.invoke(cli, ["user", "list"]).output
    assert "user login bob" in runner.invoke(cli, ["user", "enable", "bob"]).output
    token = runner.invoke(cli, ["user", "login", "bob"]).output.strip().rpartition("=")[2]
    with transaction(fresh_sessions) as session:
        viewer = viewer_of(session, session_token=log_in(session, login_token=token, days=1), **LIMITS)
    assert viewer is not None
    assert viewer.name == "bob"


def test_people_are_listed_with_the_browsers_that_are_logged_in(session: Session) -> None:
    for name in ("anna", "ben", "cora"):
        add_account(session, name=name, role=Role.VIEWER)
    reviewer_account(session, name="a model", kind=ReviewerKind.LANGUAGE_MODEL)
    ids = {person.name: person.id for person in people_shown(session)}
    assert list(ids) == ["anna", "ben", "cora"]
    tokens = [
        log_in(session, login_token=create_login_token(session, account_id=ids[name], minutes=5), days=days)
        for name, days in (("anna", 1), ("anna", 1), ("ben", 1), ("ben", -1))
    ]
    assert [person.n_sessions for person in people_shown(session)] == [2, 1, 0]
    log_out(session, session_token=tokens[0])
    disable_account(session, name="ben")
    assert [(person.n_sessions, person.is_disabled) for person in people_shown(session)] == [
        (1, False),
        (0, True),
        (0, False),
    ]
