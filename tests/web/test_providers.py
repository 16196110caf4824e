"""Language models in the browser: added, changed, tried, disabled; keys that go in and never come out."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import Account, Event, Pause, Provider, Task
from app.queries.language_models.providers import provider_named, store_probe
from app.secrets import SecretBox
from tests.web.conftest import Context, LogIn

KEY = "sk-planted-9f8e7d6c5b4a-never-shown"
FORM = {
    "name": "house",
    "kind": "openai_compatible",
    "model": "gpt-x",
    "base_url": "https://api.example.org/v1/",
    "price_in": "2,50",
    "price_out": "10",
}
CHANGE = {name: value for name, value in FORM.items() if name != "name"}


@pytest.fixture
def house(client: TestClient, log_in_as: LogIn, session: Session) -> Provider:
    """A language model that alice has added in the browser."""
    log_in_as("alice")
    assert client.post("/providers", data=FORM).status_code == 303
    return provider_named(session, name="house")


def last_event(session: Session) -> tuple[str, dict[str, Any], str]:
    event, name = session.execute(
        select(Event, Account.name).join(Account, Account.id == Event.account_id).order_by(Event.id.desc()).limit(1)
    ).one()
    return event.kind, event.detail, name


def n_events(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Event)).one()


def test_a_language_model_is_added_with_its_prices(house: Provider, client: TestClient, session: Session) -> None:
    assert (house.price_in, house.price_cached, house.price_out) == (2.5, 2.5, 10.0)
    assert house.base_url == "https://api.example.org/v1"
    assert house.capabilities is None
    assert last_event(session) == ("provider.added", {"name": "house", "model": "gpt-x"}, "alice")
    assert "house" in client.get("/providers").text


def test_a_local_model_can_what_local_models_can(client: TestClient, log_in_as: LogIn, session: Session) -> None:
    log_in_as("alice")
    sent = {"name": "here", "kind": "local", "model": "folder", "options": '{"dtype": "bfloat16"}'}
    assert client.post("/providers", data=sent).status_code == 303
    row = provider_named(session, name="here")
    assert row.options == {"dtype": "bfloat16"}
    assert "chat" in (row.capabilities or [])


def test_a_change_leaves_one_event_with_before_and_after(house: Provider, client: TestClient, session: Session) -> None:
    before = n_events(session)
    sent = {**CHANGE, "price_out": "12", "requests_per_minute": "60"}
    assert client.post(f"/providers/{house.id}", data=sent).status_code == 303
    assert n_events(session) == before + 1
    kind, detail, name = last_event(session)
    assert (kind, name) == ("provider.changed", "alice")
    assert detail == {"name": "house", "changed": {"price_out": [10.0, 12.0], "requests_per_minute": [None, 60]}}
    assert client.post(f"/providers/{house.id}", data=sent).status_code == 303
    assert n_events(session) == before + 1  # nothing has changed


def test_what_the_form_shows_can_be_sent_back_and_changes_nothing(
    house: Provider, client: TestClient, session: Session
) -> None:
    client.post(f"/providers/{house.id}", data={**CHANGE, "options": '{"a": [1, "ä"]}', "networks": "10.0.0.0/8"})
    before = n_events(session)
    page = client.get(f"/providers/{house.id}").text
    assert client.post(f"/providers/{house.id}", data=fields_of(page)).status_code == 303
    assert n_events(session) == before


class FormOfSettings(HTMLParser):
    """Reads what a browser would send of the form of a language model's settings."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._is_in = False
        self._name = ""
        """Of the list or the text that is being read."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._is_in = given.get("class") == "provider-form"
        elif self._is_in and tag in ("input", "select", "textarea"):
            self._name = str(given["name"])
            self.sent[self._name] = given.get("value") or ""
        elif self._is_in and tag == "option" and "selected" in given:
            self.sent[self._name] = str(given["value"])

    def handle_data(self, data: str) -> None:
        if self.lasttag == "textarea" and self._name:
            self.sent[self._name] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._name = ""


def fields_of(page: str) -> dict[str, str]:
    form = FormOfSettings()
    form.feed(page)
    assert "model" in form.sent
    return form.sent


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": " "},
        {"base_url": ""},
        {"base_url": "ftp://x"},
        {"base_url": "https://me:secret@api.example.org"},
        {"base_url": "https://api.example.org?api_key=1"},
        {"kind": "oracle"},
        {"kind": "local"},
        {"networks": "everywhere"},
        {"price_in": "-1"},
        {"price_in": "inf"},
        {"price_out": "much"},
        {"requests_per_minute": "0"},
        {"tokens_per_minute": "1.5"},
        {"tokens_per_minute": "²"},
        {"concurrency": "0"},
        {"timeout_seconds": "nan"},
        {"options": "[1]"},
        {"options": "{"},
        {"name": ""},
        {"name": "a\nb"},
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_stored(
    client: TestClient, log_in_as: LogIn, session: Session, wrong: dict[str, str]
) -> None:
    log_in_as("alice")
    before = n_events(session)
    assert client.post("/providers", data={**FORM, **wrong}).status_code == 422
    assert session.scalars(select(Provider)).all() == []
    assert n_events(session) == before


def test_a_name_is_taken_once(house: Provider, client: TestClient) -> None:
    assert client.post("/providers", data=FORM).status_code == 409


def test_a_key_goes_in_and_is_found_nowhere(
    house: Provider, client: TestClient, session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.post(f"/providers/{house.id}/key", data={"key": f" Bearer {KEY}\n"}).status_code == 303
    session.refresh(house)
    assert house.key_encrypted is not None
    assert SecretBox(tmp_path).open(house.key_encrypted) == KEY  # as the command line stores it
    page = client.get(f"/providers/{house.id}").text
    assert "set" in page
    assert "by alice" in page
    pages = [
        client.get(path).text for path in ("/providers", f"/providers/{house.id}", "/tasks", "/", "/activity.json")
    ]
    events = json.dumps([event.detail for event in session.scalars(select(Event))])
    written = capsys.readouterr()
    for text in (*pages, events, written.out, written.err):
        assert KEY not in text
        assert KEY[3:20] not in text
    assert last_event(session) == ("provider.key_set", {"name": "house"}, "alice")


@pytest.mark.parametrize("key", ["", "  ", "a\nb", "k\u201cey"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(
    house: Provider, client: TestClient, session: Session, key: str
) -> None:
    refused = client.post(f"/providers/{house.id}/key", data={"key": key})
    assert refused.status_code == 422
    session.refresh(house)
    assert house.key_encrypted is None


def test_a_key_is_replaced_and_deleted(house: Provider, client: TestClient, session: Session, tmp_path: Path) -> None:
    client.post(f"/providers/{house.id}/key", data={"key": KEY})
    client.post(f"/providers/{house.id}/key", data={"key": KEY + "-2"})
    session.refresh(house)
    assert SecretBox(tmp_path).open(house.key_encrypted or b"") == KEY + "-2"
    assert client.post(f"/providers/{house.id}/key/delete").status_code == 303
    session.refresh(house)
    assert house.key_encrypted is None
    assert client.post(f"/providers/{house.id}/key/delete").status_code == 409


@pytest.mark.parametrize(
    ("base_url", "is_kept"),
    [
        ("https://api.example.org/v2", True),
        ("https://API.example.org/v1", True),
        ("https://elsewhere.org/v1", False),
        ("https://api.example.org:8443/v1", False),
        ("http://api.example.org/v1", False),
    ],
)
def test_a_key_is_for_the_host_that_it_was_given_for(
    house: Provider, client: TestClient, session: Session, base_url: str, is_kept: bool
) -> None:
    """Nobody reads a key by letting it be sent to a host of their own."""
    client.post(f"/providers/{house.id}/key", data={"key": KEY})
    assert client.post(f"/providers/{house.id}", data={**CHANGE, "base_url": base_url}).status_code == 303
    session.refresh(house)
    assert (house.key_encrypted is not None) is is_kept
    assert ("key" in last_event(session)[1]["changed"]) is not is_kept


def test_a_key_of_the_environment_is_neither_named_nor_sent_elsewhere_in_the_browser(
    house: Provider, client: TestClient, session: Session
) -> None:
    client.post(f"/providers/{house.id}", data={**CHANGE, "key_variable": "ANOTHER_KEY"})
    session.refresh(house)
    assert house.key_variable is None
    house.key_variable = "HOUSE_KEY"
    session.flush()
    moved = {**CHANGE, "base_url": "https://elsewhere.org/v1"}
    assert client.post(f"/providers/{house.id}", data=moved).status_code == 409
    assert client.post(f"/providers/{house.id}", data={**CHANGE, "price_in": "1"}).status_code == 303
    session.refresh(house)
    assert (house.key_variable, house.base_url, house.price_in) == ("HOUSE_KEY", "https://api.example.org/v1", 1.0)


def test_what_a_try_found_is_forgotten_with_what_it_was_about(
    house: Provider, client: TestClient, session: Session
) -> None:
    store_probe(session, name="house", capabilities=["chat"], options={}, error=None)
    session.refresh(house)
    client.post(f"/providers/{house.id}", data={**CHANGE, "price_in": "7"})
    session.refresh(house)
    assert list(house.capabilities or ()) == ["chat"]
    client.post(f"/providers/{house.id}", data={**CHANGE, "model": "gpt-y"})
    session.refresh(house)
    assert house.capabilities is None
    assert house.probed_at is None


def test_a_disabled_model_is_offered_nowhere_and_shown_as_disabled(
    house: Provider, client: TestClient, session: Session, context: Context
) -> None:
    assert client.post(f"/providers/{house.id}/disable").status_code == 303
    assert last_event(session)[0] == "provider.disabled"
    assert client.post(f"/providers/{house.id}/disable").status_code == 409
    page = client.get("/").text
    assert "house is paused" in page
    assert "resumes by itself" not in page
    assert client.post(f"/providers/{house.id}/enable").status_code == 303
    assert session.scalars(select(Pause)).all() == []
    assert client.post(f"/providers/{house.id}/enable").status_code == 409


def test_to_try_one_is_a_task_of_a_worker(house: Provider, client: TestClient, session: Session) -> None:
    tried = client.post(f"/providers/{house.id}/probe")
    task = session.scalars(select(Task)).one()
    assert tried.headers["location"] == f"/tasks/{task.id}"
    assert (task.kind, task.parameters["provider"], task.provider) == ("probe", "house", None)
    assert f'href="/providers/{house.id}"' in client.get(f"/tasks/{task.id}").text or task.status == "queued"


@pytest.mark.parametrize("path", ["/providers/0", "/providers/999999", "/providers/99999999999999999999"])
def test_a_language_model_that_does_not_exist_is_not_found(client: TestClient, log_in_as: LogIn, path: str) -> None:
    log_in_as("alice")
    assert client.get(path).status_code in (404, 422)
    assert client.post(f"{path}/disable").status_code in (404, 422)


def test_a_cap_per_day_is_set_and_lifted_on_the_page_of_people(
    client: TestClient, log_in_as: LogIn, session: Session, context: Context
) -> None:
    alice = log_in_as("alice")
    assert client.post(f"/people/{alice.id}/cap", data={"price": "2,50"}).status_code == 303
    session.refresh(alice)
    assert alice.price_cap_per_day == 2.5
    assert last_event(session) == ("cap.set", {"price": 2.5, "person": "alice"}, "alice")
    client.get("/people")
    assert [person.price_cap_per_day for person in context().people] == [2.5]
    assert client.post(f"/people/{alice.id}/cap", data={"price": ""}).status_code == 303
    session.refresh(alice)
    assert alice.price_cap_per_day is None
    assert client.post(f"/people/{alice.id}/cap", data={"price": "nan"}).status_code == 422
