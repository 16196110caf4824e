"""What a visitor without an account may see."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from app.db import Sessions
from app.models import Pause, Worker
from app.settings import Settings
from app.web.deps import OPEN_TO_ALL
from app.web.main import ROUTERS, create_app
from tests.factories import Make
from tests.web.conftest import LogIn

OPERATIONS = ("/batches", "/batches/1", "/runs/1", "/calls/1", "/bill")
PATHS = sorted(
    route.path.format(**dict.fromkeys(route.param_convertors, 1))
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and "slug" not in route.param_convertors
)


@pytest.mark.parametrize("suffix", ["", ".json"])
@pytest.mark.parametrize("path", OPERATIONS)
def test_prompts_costs_and_batches_need_an_account(
    client: TestClient, log_in_as: LogIn, path: str, suffix: str
) -> None:
    assert client.get(path + suffix).status_code == 401
    log_in_as("charlie")
    assert client.get(path + suffix).status_code in (200, 404)


def test_visitors_see_neither_hosts_nor_messages_of_servers(client: TestClient, make: Make, log_in_as: LogIn) -> None:
    make.session.add(
        Pause(provider="hosted", reason="http://10.0.0.7/v1 is away", until=datetime.now(UTC) + timedelta(1))
    )
    make.session.add(Worker(id=uuid.uuid4(), host="secret-host", pid=4, device="cpu", doing="idle"))
    make.session.flush()
    for address in ("/", "/index.json", "/activity", "/activity.json"):
        told = client.get(address).text
        assert "secret-host" not in told
        assert "10.0.0.7" not in told
    log_in_as("charlie")
    assert "secret-host" in client.get("/").text
    assert "10.0.0.7" in client.get("/").text


@pytest.mark.parametrize("path", PATHS)
def test_one_setting_closes_every_page(sessions: Sessions, path: str) -> None:
    closed = TestClient(create_app(Settings(require_account=True), sessions), base_url="http://localhost")
    expected = 200 if path in OPEN_TO_ALL else 401
    if path.startswith("/login/openid"):
        expected = 404  # it is there where it is configured
    assert closed.get(path).status_code == expected


def test_a_closed_site_opens_with_an_account(sessions: Sessions, make: Make) -> None:
    make.subject()
    client = TestClient(create_app(Settings(require_account=True), sessions), base_url="http://localhost")
    for address in ("/tiny", "/tiny.json", "/tiny/0/0", "/tiny/0/0.json"):
        assert client.get(address).status_code == 401
