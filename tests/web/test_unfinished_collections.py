"""The first page shows what a collection does, and that it has stopped or failed."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from app.models import Collection
from tests.factories import Make
from tests.web.conftest import Context, LogIn


@pytest.fixture
def collection(make: Make) -> Collection:
    """The only collection of a subject: it is finding hard negatives."""
    subject = make.subject()
    collection = make.session.get_one(Collection, subject.collection_id)
    subject.collection_id = None
    collection.status, collection.stage, collection.progress, collection.finished_at = "running", "look", 0.25, None
    collection.lease_until = datetime.now(UTC) + timedelta(seconds=60)
    make.session.flush()
    return collection


def test_a_running_collection_shows_its_stage_and_is_looked_at_again(
    client: TestClient, collection: Collection, context: Context
) -> None:
    html = client.get("/").text
    assert "finding hard negatives, 25.0%" in html
    assert 'hx-get="/activity"' in html
    assert context().activity.is_busy


def test_a_killed_collection_is_not_shown_as_running(
    client: TestClient, make: Make, collection: Collection, context: Context
) -> None:
    collection.lease_until = datetime.now(UTC) - timedelta(seconds=1)
    make.session.flush()
    html = client.get("/activity").text
    assert "Stopped: no process has worked on it since" in html
    assert "The same command resumes it." in html
    assert "<progress" not in html
    assert not context().is_busy


def test_a_failed_collection_says_why_to_those_who_may_know(
    client: TestClient, make: Make, collection: Collection, log_in_as: LogIn
) -> None:
    collection.status, collection.error = "failed", "/data/collections/1f cannot be written: No space left"
    make.session.flush()
    anonymous = client.get("/activity").text
    assert "Failed " in anonymous
    assert "/data" not in anonymous
    log_in_as("bob")
    assert "No space left" in client.get("/activity").text
