"""An authenticator as second factor: set up, asked for at every login, reset, limited."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from pyotp import TOTP, parse_uri
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions, transaction
from app.domain.events import EventKind
from app.domain.roles import Role
from app.models import Account, Event, SecondFactor
from app.queries.people import second_factor
from app.queries.people.accounts import ensure_account
from app.queries.people.logins import create_login_token
from app.queries.people.passwords import set_password
from app.queries.people.second_factor import (
    DRIFT,
    ENROLMENT_SECONDS,
    N_RECOVERY_CODES,
    STEP_SECONDS,
    CodeNeeded,
    add_factor,
    address_of,
    new_secret,
    sealed_secret,
    use_code,
)
from app.secrets import SecretBox
from app.settings import Settings
from app.web.login.factor import QUIET_ZONE, qr_code
from app.web.main import create_app
from tests.web.conftest import OWN_PAGE, LogIn
from tests.web.test_people import PASSWORD, events, with_password

NOON = 1_800_000_000


class Clock:
    """Seconds since 1970, as a test sets them."""

    def __init__(self) -> None:
        self.seconds = NOON

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(second_factor, "now", found)
    return found


class Authenticator:
    """An app on a telephone: knows a secret and the time, and nothing else of the site."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self.secret, self.clock = secret, clock

    def code(self, drift: int = 0) -> str:
        return TOTP(self.secret).at(int(self.clock.seconds) + drift * STEP_SECONDS)

    def next_code(self) -> str:
        """The code of the step after this one."""
        self.clock.seconds += STEP_SECONDS
        return self.code()


@pytest.fixture
def stranger(app: FastAPI) -> Iterator[TestClient]:
    """Another browser."""
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as client:
        yield client


def set_up(client: TestClient, clock: Clock) -> tuple[Authenticator, list[str]]:
    """Set up an authenticator as the page says; returns it with the recovery codes."""
    page = client.get("/account/factor").text
    (sealed,) = re.findall(r'name="sealed" value="([^"]+)"', page)
    (secret,) = re.findall(r'class="secret">(\w+)<', page)
    authenticator = Authenticator(secret, clock)
    shown = client.post("/account/factor", data={"sealed": sealed, "code": authenticator.code()})
    assert shown.status_code == 200
    return authenticator, re.findall(r"<code>([a-z2-7-]{19})</code>", shown.text)


@pytest.fixture
def dora(session: Session, client: TestClient) -> Account:
    """Administers the site, has a password, and is logged in in the first browser."""
    account = with_password(session, role=Role.ADMINISTRATOR)
    assert log_in(client) == 303
    return account


def log_in(client: TestClient, code: str = "", password: str = PASSWORD) -> int:
    data = {"name": "dora", "password": password, "code": code}
    return client.post("/login/password", data=data).status_code


def test_a_login_takes_a_code_once_an_authenticator_is_set_up(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, session: Session
) -> None:
    assert log_in(stranger) == 303
    before = session.scalar(select(func.count()).select_from(Event)) or 0
    authenticator, codes = set_up(client, clock)
    assert (session.scalar(select(func.count()).select_from(Event)) or 0) == before + 1
    assert events(session, EventKind.FACTOR_ADDED) == 1
    assert len(set(codes)) == N_RECOVERY_CODES
    assert log_in(stranger) == 401
    assert log_in(stranger, "000000") == 401
    assert log_in(stranger, authenticator.next_code(), password="another one in a row") == 401
    assert log_in(stranger, authenticator.code()) == 303
    assert f"{N_RECOVERY_CODES} recovery codes" in client.get("/account").text


def test_a_code_is_never_accepted_twice_nor_an_older_one_after_it(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock
) -> None:
    authenticator, _ = set_up(client, clock)
    assert log_in(stranger, authenticator.code()) == 401  # it set up the authenticator
    assert log_in(stranger, authenticator.next_code()) == 303
    assert log_in(stranger, authenticator.code()) == 401
    clock.seconds += STEP_SECONDS
    assert log_in(stranger, authenticator.code(1)) == 303  # a clock that is a little fast
    assert log_in(stranger, authenticator.code()) == 401


@pytest.mark.parametrize("drift", [-3, -2, 2, 3])
def test_clocks_may_differ_by_one_step(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, drift: int
) -> None:
    authenticator, _ = set_up(client, clock)
    clock.seconds += 10 * STEP_SECONDS
    assert drift not in DRIFT
    assert log_in(stranger, authenticator.code(drift)) == 401
    assert log_in(stranger, authenticator.code(-1)) == 303


def test_a_recovery_code_works_once(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, session: Session
) -> None:
    _, codes = set_up(client, clock)
    assert log_in(stranger, codes[3].upper().replace("-", " ")) == 303
    assert log_in(stranger, codes[3]) == 401
    assert log_in(stranger, codes[4]) == 303
    assert f"{N_RECOVERY_CODES - 2} recovery codes" in client.get("/account").text
    kept = session.get_one(SecondFactor, dora.id, populate_existing=True)
    assert not set(codes) & set(kept.recovery_hashes)


def test_the_secret_is_stored_encrypted(client: TestClient, dora: Account, clock: Clock, session: Session) -> None:
    authenticator, _ = set_up(client, clock)
    kept = session.get_one(SecondFactor, dora.id, populate_existing=True)
    assert authenticator.secret.encode() not in kept.secret_encrypted
    assert authenticator.secret not in client.get("/account").text


def test_a_login_address_takes_a_code_too_and_is_not_used_up_without(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, session: Session
) -> None:
    authenticator, _ = set_up(client, clock)
    token = create_login_token(session, account_id=dora.id, minutes=5)
    session.commit()
    assert stranger.post("/login", data={"token": token}).status_code == 401
    assert stranger.post("/login", data={"token": token, "code": authenticator.next_code()}).status_code == 303


def test_nothing_changes_before_a_code_of_the_new_secret_was_shown(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, session: Session
) -> None:
    page = client.get("/account/factor").text
    (sealed,) = re.findall(r'name="sealed" value="([^"]+)"', page)
    (secret,) = re.findall(r'class="secret">(\w+)<', page)
    assert client.post("/account/factor", data={"sealed": sealed, "code": "123"}).status_code == 422
    assert client.post("/account/factor", data={"sealed": sealed[:-9], "code": "123"}).status_code == 422
    assert log_in(stranger) == 303
    clock.seconds += ENROLMENT_SECONDS + 1
    code = Authenticator(secret, clock).code()
    late = client.post("/account/factor", data={"sealed": sealed, "code": code})
    assert (late.status_code, "open for too long" in late.text) == (422, True)
    assert session.get(SecondFactor, dora.id) is None


def test_an_authenticator_is_replaced_and_removed_with_a_code(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, session: Session
) -> None:
    first, _ = set_up(client, clock)
    second, _ = set_up(client, clock)
    assert log_in(stranger, first.next_code()) == 401
    assert client.post("/account/factor/remove", data={"code": "000000"}).status_code == 401
    assert client.post("/account/factor/remove", data={"code": second.code()}).status_code == 303
    assert events(session, EventKind.FACTOR_REMOVED) == 1
    assert log_in(stranger) == 303


def test_an_administrator_resets_who_has_lost_it(
    client: TestClient, stranger: TestClient, dora: Account, clock: Clock, log_in_as: LogIn, session: Session
) -> None:
    set_up(client, clock)
    log_in_as("alice")
    assert "second factor" in client.get("/people").text
    assert client.post(f"/people/{dora.id}/factor/reset").status_code == 303
    assert log_in(stranger) == 303
    assert client.post(f"/people/{dora.id}/factor/reset").status_code == 404
    (event,) = session.scalars(select(Event).where(Event.kind == EventKind.FACTOR_REMOVED)).all()
    assert event.detail == {"account_id": dora.id}


def test_administrators_with_a_password_are_advised_to_set_one_up(
    client: TestClient, dora: Account, clock: Clock, log_in_as: LogIn
) -> None:
    advice = "You administer this site"
    assert advice in client.get("/account").text
    set_up(client, clock)
    assert advice not in client.get("/account").text
    log_in_as("bob")
    assert advice not in client.get("/account").text


def enrolled(sessions: Sessions, box: SecretBox, clock: Clock) -> tuple[int, Authenticator]:
    """An account of its own with a password and an authenticator."""
    with transaction(sessions) as session:
        account = ensure_account(session, name="dora", role=Role.REVIEWER)
        set_password(session, account_id=account.id, password=PASSWORD)
        authenticator = Authenticator(new_secret(), clock)
        sealed = sealed_secret(box, authenticator.secret)
        add_factor(session, account_id=account.id, box=box, sealed=sealed, code=authenticator.code())
        return account.id, authenticator


def test_of_many_at_once_with_one_code_one_gets_in(fresh_sessions: Sessions, tmp_path: Path, clock: Clock) -> None:
    box = SecretBox(tmp_path)
    account_id, authenticator = enrolled(fresh_sessions, box, clock)
    code = authenticator.next_code()

    def attempt(_: int) -> bool:
        try:
            with transaction(fresh_sessions) as session:
                use_code(session, account_id=account_id, box=box, code=code)
        except CodeNeeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(16))) == 1


def test_guesses_at_a_code_are_limited_as_those_at_a_password_are(
    fresh_sessions: Sessions, tmp_path: Path, clock: Clock
) -> None:
    settings = Settings(data_dir=tmp_path, login_attempts=4, client_login_attempts=1000)
    _, authenticator = enrolled(fresh_sessions, SecretBox(tmp_path), clock)
    with TestClient(
        create_app(settings, fresh_sessions), base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False
    ) as client:
        assert [log_in(client, f"{guess:06}") for guess in range(5)] == [401] * 4 + [429]
        assert log_in(client, authenticator.next_code()) == 429


def test_the_command_resets_an_account(
    fresh_database: str, fresh_sessions: Sessions, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    account_id, _ = enrolled(fresh_sessions, SecretBox(tmp_path), clock)
    assert CliRunner().invoke(cli, ["user", "reset-factor", "dora"]).exit_code == 0
    with transaction(fresh_sessions) as session:
        assert session.get(SecondFactor, account_id) is None


def test_the_qr_code_says_issuer_name_and_secret() -> None:
    """The address is what authenticators read; its modules lie within the quiet zone."""
    secret = new_secret()
    address = address_of(secret, name="dora & bob")
    read = parse_uri(address)
    assert (read.secret, read.name, read.issuer) == (secret, "dora & bob", "Neuron Audit")
    drawn = qr_code(address)
    xs, ys = zip(*((int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawn.path)), strict=True)
    assert (min(xs), min(ys)) == (QUIET_ZONE, QUIET_ZONE)
    assert (max(xs), max(ys)) == (drawn.size - QUIET_ZONE - 1, drawn.size - QUIET_ZONE - 1)
