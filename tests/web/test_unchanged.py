"""Pages that have not changed are not made again, and never shown once something has changed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.flags import FlagReason
from app.models import Neuron, Subject, WebSession
from app.models.counts import COUNT_TABLES
from app.models.versions import NOT_SHOWN
from app.queries.people.accounts import disable_account
from app.queries.review.flags import open_flag
from app.settings import Settings
from app.web.http.conditional import file_response
from app.web.http.visits import VISITS_COOKIE
from app.web.main import create_app
from app.work.enqueue import enqueue_batch
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import HTMX, OWN_PAGE, LogIn


@pytest.fixture(params=["tags", "kept"])
def client(request: pytest.FixtureRequest, sessions: Sessions, tmp_path: Path) -> Iterator[TestClient]:
    """A visitor of a server that keeps no pages, and of one that does."""
    kept_bytes = 1_000_000 if request.param == "kept" else 0
    app = create_app(Settings(data_dir=tmp_path), sessions, kept_bytes=kept_bytes)
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def explained(make: Make, neuron: Neuron) -> Neuron:
    make.explained(neuron)
    return neuron


def again(client: TestClient, path: str, tag: str, **headers: str) -> Any:
    return client.get(path, headers={"If-None-Match": tag, **headers})


def tag_of(client: TestClient, path: str, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200
    return str(response.headers["etag"])


def addresses(neuron: Neuron, subject: Subject) -> dict[str, str]:
    slug, own = subject.slug, f"/{subject.slug}/{neuron.layer}/{neuron.index}"
    return {
        "neuron": own,
        "in a list": f"{own}?list=all",
        "json": f"{own}.json",
        "compare": f"{own}/compare",
        "like": f"{own}/like",
        "list": f"/{slug}",
        "filtered": f"/{slug}?state=flagged",
        "atlas": f"/{slug}/atlas",
        "atlas file": f"/{slug}/atlas.bin",
        "plots": f"/{slug}/plots",
        "methods": "/methods",
        "explanation": f"/explanations/{neuron.current_explanation_id}",
        "tokens": f"/{slug}/tokens",
        "lists": "/lists",
        "guide": "/guide",
    }


def test_an_unchanged_page_is_not_sent_again(client: TestClient, explained: Neuron, subject: Subject) -> None:
    for name, path in addresses(explained, subject).items():
        found = again(client, path, tag_of(client, path))
        assert (name, found.status_code, found.content) == (name, 304, b"")
        assert found.headers["cache-control"] == "private, no-cache"
        assert "Cookie" in found.headers["vary"]


def test_nothing_but_the_version_is_read_for_an_unchanged_page(
    client: TestClient, engine: Engine, explained: Neuron, subject: Subject
) -> None:
    for path in addresses(explained, subject).values():
        tag = tag_of(client, path)
        with counted_queries(engine) as sent:
            assert again(client, path, tag).status_code == 304
        assert sent == []


def test_a_server_that_has_not_sent_the_atlas_learns_that_a_browser_has_it(
    sessions: Sessions,
    session: Session,
    tmp_path: Path,
    explained: Neuron,
    subject: Subject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, made = addresses(explained, subject)["atlas file"], list[str]()

    def noted(request: Request, *arguments: Any, **named: Any) -> Response:
        made.append(request.method)
        return file_response(request, *arguments, **named)

    monkeypatch.setattr("app.web.pages.atlas.file_response", noted)
    servers = [create_app(Settings(data_dir=tmp_path), sessions, kept_bytes=1_000_000) for _ in range(2)]
    first, second = (TestClient(app, base_url="http://localhost", headers=OWN_PAGE) for app in servers)
    tag = tag_of(first, path)
    assert [again(second, path, tag).status_code for _ in range(3)] == [304] * 3
    assert len(made) == 2, "by the first server, and once by the second"
    assert second.get(path).content == first.get(path).content
    session.execute(update(Neuron).values(current_text="Something else."))
    session.flush()
    assert again(second, path, '"another"').status_code == 200


def test_a_change_of_anything_shown_sends_every_page_again(
    client: TestClient, session: Session, make: Make, explained: Neuron, subject: Subject
) -> None:
    alice = make.account("alice")
    paths = addresses(explained, subject)
    before = {path: tag_of(client, path) for path in paths.values()}
    open_flag(
        session,
        explanation_id=explained.current_explanation_id or 0,
        account_id=alice.id,
        reason=FlagReason.TOO_BROAD,
        note="It fires on every comma.",
    )
    session.flush()
    for name, path in paths.items():
        found = client.get(path, headers={"If-None-Match": before[path]})
        if name not in ("atlas file", "guide"):
            assert (name, found.status_code) == (name, 200)
    assert "It fires on every comma." in client.get(paths["neuron"]).text


def test_a_change_that_is_rolled_back_leaves_pages_as_they_are(
    client: TestClient, session: Session, explained: Neuron, subject: Subject
) -> None:
    path = addresses(explained, subject)["neuron"]
    tag = tag_of(client, path)
    step = session.begin_nested()
    session.execute(update(Neuron).values(current_text="Something else."))
    assert again(client, path, tag).status_code == 200
    step.rollback()
    assert again(client, path, tag).status_code == 304


def test_pages_of_one_person_are_not_those_of_another(
    client: TestClient, log_in_as: LogIn, explained: Neuron, subject: Subject
) -> None:
    path = addresses(explained, subject)["neuron"]
    anonymous = tag_of(client, path)
    log_in_as("olga")
    own = client.get(path)
    assert own.headers["etag"] != anonymous
    assert "olga" in own.text
    assert again(client, path, anonymous).status_code == 200
    assert again(client, path, own.headers["etag"]).status_code == 304
    client.cookies.clear()
    assert "olga" not in client.get(path).text
    assert again(client, path, own.headers["etag"]).status_code == 200


def test_a_person_who_may_no_longer_see_a_page_is_not_told_that_it_is_unchanged(
    client: TestClient, session: Session, make: Make, log_in_as: LogIn, explained: Neuron, subject: Subject
) -> None:
    path = addresses(explained, subject)["neuron"]
    log_in_as("charlie")
    alice = make.account("alice")
    tag = tag_of(client, path)
    disable_account(session, name="charlie", by=alice.id)
    session.flush()
    found = again(client, path, tag)
    assert (found.status_code, "charlie" in found.text) == (200, False)


def test_a_session_that_was_idle_is_looked_at_again(
    client: TestClient, session: Session, log_in_as: LogIn, explained: Neuron, subject: Subject
) -> None:
    log_in_as("alice")
    path = addresses(explained, subject)["neuron"]
    until = int(tag_of(client, path)[4:].partition("-")[0], 16)
    seen = session.query(WebSession).one().seen_at.timestamp()
    assert until <= seen + 600


def test_a_part_is_not_its_page(client: TestClient, explained: Neuron, subject: Subject) -> None:
    path = addresses(explained, subject)["list"]
    page = client.get(path)
    part = client.get(path, headers=HTMX)
    assert page.headers["etag"] != part.headers["etag"]
    assert "<html" in page.text
    assert "<html" not in part.text
    assert client.get(path).text == page.text


def test_a_page_that_is_unchanged_is_still_a_visit(client: TestClient, explained: Neuron, subject: Subject) -> None:
    path = addresses(explained, subject)["neuron"]
    tag = tag_of(client, path)
    client.cookies.clear()
    found = again(client, path, tag)
    assert found.status_code == 304
    assert f"{subject.slug}:{explained.layer}:{explained.index}" in found.cookies[VISITS_COOKIE]
    client.cookies.clear()
    assert f"{subject.slug}:{explained.layer}:{explained.index}" in client.get(path).cookies[VISITS_COOKIE]


def test_what_was_done_is_said_once(client: TestClient, explained: Neuron, subject: Subject) -> None:
    path = addresses(explained, subject)["neuron"]
    plain = client.get(path)
    client.cookies.set("neuron_audit_told", "Flagged.")
    told = client.get(path)
    assert "etag" not in told.headers
    assert "Flagged." in told.text
    client.cookies.clear()
    assert client.get(path).text == plain.text


def test_pages_of_work_and_of_frames_are_never_said_to_be_unchanged(
    client: TestClient, session: Session, make: Make, explained: Neuron, subject: Subject
) -> None:
    for path in ("/", "/activity", "/search", "/login"):
        assert "etag" not in client.get(path).headers
    path = addresses(explained, subject)["neuron"]
    method, alice = make.method(), make.account("alice")
    enqueue_batch(
        session, subject_id=subject.id, neuron_ids=[explained.id], method_id=method.id, account_id=alice.id, limit=1
    )
    session.flush()
    assert "etag" not in client.get(path).headers


@pytest.mark.parametrize("tag", ['W/"p0-00"', "*", '"x"', 'W/"pffffffffff-' + "0" * 32 + '"', 'W/"p' + "f" * 4000])
def test_a_tag_that_is_not_ours_gets_the_page(
    client: TestClient, explained: Neuron, subject: Subject, tag: str
) -> None:
    assert again(client, addresses(explained, subject)["neuron"], tag).status_code == 200


def test_kept_pages_read_only_what_the_version_counts(
    client: TestClient, engine: Engine, explained: Neuron, subject: Subject, log_in_as: LogIn
) -> None:
    log_in_as("alice")
    unnoted = {*NOT_SHOWN, *(table.__tablename__ for table in COUNT_TABLES)} - {"content_change"}
    derived = {table.__tablename__ for table in COUNT_TABLES}
    for name, path in addresses(explained, subject).items():
        with counted_queries(engine) as sent:
            client.get(path)
        words = {word for text in sent for word in re.findall(r"\w+", text)}
        assert (name, (words & unnoted) - derived) == (name, set())
