"""What a login by OpenID needs before it: settings, and the e-mail addresses of accounts."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.domain.roles import Role
from app.errors import Conflict, Invalid
from app.queries.people.accounts import add_account, set_email
from app.redaction import redacted
from app.settings import Settings
from app.web.login.openid import OpenIdProvider
from tests.factories import Make
from tests.web.conftest import LogIn


def test_the_secret_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    settings = Settings(openid_issuer="https://login.example.org", openid_client_id="x", openid_client_secret_file=file)
    provider = OpenIdProvider.of(settings)
    assert provider is not None
    assert "from the file" not in repr(settings)
    assert redacted("it sent from the file") == "it sent [key]"


@pytest.mark.parametrize(
    "options",
    [
        {"openid_issuer": "http://login.example.org", "openid_client_id": "x"},
        {"openid_issuer": "ftp://127.0.0.1", "openid_client_id": "x"},
        {"openid_issuer": "https://login.example.org"},
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="NEURON_AUDIT_OPENID_"):
        Settings(**options)


def test_an_address_is_set_in_the_browser(client: TestClient, log_in_as: LogIn, make: Make) -> None:
    account = make.account("dora")
    log_in_as("alice")
    assert client.post(f"/people/{account.id}/email", data={"email": " Dora@Example.org "}).status_code == 303
    make.session.refresh(account)
    assert account.email == "dora@example.org"
    assert client.post(f"/people/{account.id}/email", data={"email": "dora@example.org"}).status_code == 409
    assert client.post(f"/people/{account.id}/email", data={"email": ""}).status_code == 303
    make.session.refresh(account)
    assert account.email is None


@pytest.mark.parametrize(
    "email",
    ["dora", "@example.org", "dora@", "do ra@example.org", "dora@localhost", "a@b\n.c", "x" * 250 + "@b.org"],
)
def test_what_is_no_address_is_refused(session: Session, email: str) -> None:
    with pytest.raises(Invalid):
        add_account(session, name="dora", role=Role.VIEWER, email=email)


def test_two_accounts_never_share_an_address(session: Session) -> None:
    alice = add_account(session, name="alice", role=Role.VIEWER, email="a@example.org")
    other = add_account(session, name="other", role=Role.VIEWER)
    with pytest.raises(Conflict):
        add_account(session, name="dora", role=Role.VIEWER, email="A@example.org")
    with pytest.raises(Conflict):
        set_email(session, account_id=other.id, email="a@EXAMPLE.org", by=alice.id)
