"""Secrets with a known value, in use; then everything that the product writes is searched for them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import text
from starlette.testclient import TestClient

from app.db import Limits, make_engine, make_sessions
from app.domain.language_models import ProviderKind
from app.formats.tables import TableFormat
from app.log import configure_logging
from app.models import Base
from app.queries.audit.export import ExportedTable
from app.queries.language_models.providers import ProviderSettings, add_provider, set_key
from app.queries.people.accounts import account_named
from app.queries.people.logins import create_login_token
from app.queries.review.campaigns import end_campaign
from app.secrets import SecretBox, usable_key
from app.settings import Settings
from app.web.deps import SESSION_COOKIE, DbSession
from app.web.main import ROUTERS, create_app
from tests.factories import Make
from tests.web.addressed import Known, addressed
from tests.web.conftest import OWN_PAGE

KEY = "sk-planted-0123456789abcdef"
PASSWORD = "planted horse battery staple"
DATABASE_PASSWORD = "planted-of-the-database"
SHOWN_ONCE = re.compile(r"[\w-]{30,}")


class Secrets:
    """What must be found nowhere, by name, and all that was written, by where."""

    def __init__(self) -> None:
        self.values = {"provider key": KEY, "password": PASSWORD, "database password": DATABASE_PASSWORD}
        self.written: dict[str, str] = {}

    def found(self) -> list[tuple[str, str]]:
        """(secret, where) of every secret that was written anywhere."""
        return [
            (name, where)
            for where, written in self.written.items()
            for name, value in self.values.items()
            if value in written
        ]


def use(client: TestClient, make: Make, secrets: Secrets, data_dir: Path) -> Known:
    """Everything that has a secret, used as people, programs and workers do. Returns one of everything."""
    usable_key(KEY, source="a test")  # read, as a worker does before its first request
    known = addressed(make, reply=f"I was sent {KEY}")
    endpoint = ProviderSettings(ProviderKind.OPENAI_COMPATIBLE, "m", "https://house.example.org/v1")
    hosted = add_provider(make.session, name="hosted", settings=endpoint)
    set_key(make.session, provider_id=hosted.id, key=KEY, box=SecretBox(data_dir))
    end_campaign(make.session, campaign_id=int(known["campaign_id"]), account_id=int(known["account_id"]))
    log_in(client, make, secrets)
    assert client.post("/account/password", data={"password": PASSWORD}).status_code == 303
    for word in (PASSWORD, f"{PASSWORD} ", f"not {PASSWORD}", PASSWORD[:-1]):
        client.post("/login/password", data={"name": "alice", "password": word})
    assert client.post("/login/password", data={"name": "alice", "password": PASSWORD}).status_code == 303
    secrets.values["second session"] = client.cookies[SESSION_COOKIE]
    made = client.post("/account/tokens", data={"name": "script", "scope": "all", "days": "1"})
    secrets.values["API token"] = shown_once(made.text, client.get("/account").text)
    invited = client.post("/people", data={"name": "zoe", "role": "reviewer"})
    assert invited.status_code == 200
    secrets.values["invitation"] = shown_once(invited.text, client.get("/people").text)
    return known


def log_in(client: TestClient, make: Make, secrets: Secrets) -> None:
    """By a one-time token, after a wrong one."""
    alice = account_named(make.session, name="alice")
    token = secrets.values["login token"] = create_login_token(make.session, account_id=alice.id, minutes=5)
    make.session.flush()
    client.get(f"/login?token=x{token[1:]}")
    assert client.post("/login", data={"token": token}).status_code == 303
    secrets.values["session"] = client.cookies[SESSION_COOKIE]


def shown_once(first: str, then: str) -> str:
    """The one long word that a page shows when it is made and not afterwards."""
    (found,) = set(SHOWN_ONCE.findall(first)) - set(SHOWN_ONCE.findall(then))
    return str(found)


def addresses(known: Known) -> Iterator[str]:
    """Every page, its twin, every export and the report in all forms."""
    for router in ROUTERS:
        for route in router.routes:
            if not isinstance(route, APIRoute) or "GET" not in (route.methods or ()):
                continue
            if set(route.param_convertors) <= set(known):
                yield route.path.format(**known)
    for table in ExportedTable:
        for form in TableFormat:
            yield f"/campaigns/{known['campaign_id']}/export/{table}.{form}"
    yield from (f"/{known['slug']}?words=planted", "/login?token=wrong", "/nothing/here", "/nothing.json", "/?x=1")


def read_everything(client: TestClient, known: Known, secrets: Secrets) -> None:
    """All addresses as an administrator, by a program's token, and as a visitor."""
    by_token = {"Authorization": f"Bearer {secrets.values['API token']}"}
    with TestClient(client.app, base_url="http://localhost") as bare:
        for address in addresses(known):
            for who, sender, headers in (("alice", client, {}), ("a token", bare, by_token), ("a visitor", bare, {})):
                answer = sender.get(address, headers=headers)
                assert answer.status_code < 500, address
                written = f"{answer.headers} {answer.content.decode(errors='replace')}"
                secrets.written[f"{address} as {who}"] = written


def test_no_secret_is_in_a_page_a_twin_an_export_the_report_the_log_or_a_table(
    app: FastAPI, client: TestClient, make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    configure_logging(Settings(log_level="debug"))
    secrets = Secrets()
    known = use(client, make, secrets, tmp_path)
    read_everything(client, known, secrets)
    secrets.written["page of an error"] = provoke(app, secrets)
    structlog.reset_defaults()
    secrets.written["log"] = capsys.readouterr().err
    for table in Base.metadata.sorted_tables:
        rows = make.session.execute(text(f'SELECT t::text FROM "{table.name}" AS t'))
        secrets.written[f"table {table.name}"] = "\n".join(rows.scalars())
    assert len(secrets.values) == 8
    assert len(secrets.written) > 150
    assert len(re.findall("path=/", secrets.written["log"])) > 150
    assert "[key]" in secrets.written["table llm_call"]  # the reply was kept, without the key in it
    assert secrets.found() == []


def provoke(app: FastAPI, secrets: Secrets) -> str:
    """The page of an error whose message names every secret."""

    @app.get("/a/page/that/fails")
    def fail(session: DbSession) -> str:
        session.execute(text("SELECT 1/0 WHERE :key <> ''"), {"key": KEY})
        return "not reached"

    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False, headers=OWN_PAGE)
    client.cookies.set(SESSION_COOKIE, secrets.values["session"])
    answer = client.get("/a/page/that/fails")
    assert answer.status_code in (422, 500)
    return answer.text


@pytest.mark.parametrize("form", ["console", "json"])
def test_the_databases_password_is_neither_in_the_page_nor_in_the_log_of_an_outage(
    capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    configure_logging(Settings(log_level="debug", log_format=form))
    address = f"postgresql+psycopg://audit:{DATABASE_PASSWORD}@127.0.0.1:1/audit"
    engine = make_engine(address, limits=Limits(pool_seconds=0.1))
    try:
        client = TestClient(create_app(Settings(), make_sessions(engine)), base_url="http://localhost")
        answers = [client.get(path) for path in ("/", "/index.json", "/health", "/campaigns")]
    finally:
        engine.dispose()
        structlog.reset_defaults()
    log = capsys.readouterr().err
    assert {answer.status_code for answer in answers} == {503}
    assert "database unreachable" in log
    written = [*(answer.text for answer in answers), log, repr(engine)]
    assert [each for each in written if DATABASE_PASSWORD in each] == []


def test_the_search_finds_a_secret_that_is_written() -> None:
    secrets = Secrets()
    secrets.written["here"] = f"the key is {KEY}."
    assert secrets.found() == [("provider key", "here")]
