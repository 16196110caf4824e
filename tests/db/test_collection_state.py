"""The state of a collection, and what pages may show of one that is not complete."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from app.domain.collections import CollectionStage, CollectionStatus
from app.models import Collection, Subject
from app.queries.common.prepared import rows_of
from app.queries.subjects import collection_state as state
from app.queries.subjects.collection_state import CollectionProgress
from app.queries.subjects.collections import complete_collection
from app.queries.subjects.unfinished import SHOWN_DAYS, UNFINISHED, UnfinishedCollection
from tests.factories import Make

KEY = uuid.UUID(int=7)


@pytest.fixture
def subject(make: Make) -> Subject:
    return make.subject()


@pytest.fixture
def running(session: Session, subject: Subject) -> Collection:
    """A collection newer than the one that its subject shows."""
    shown = session.get_one(Collection, subject.collection_id)
    collection_id = state.start_collection(
        session,
        key=KEY,
        subject_id=subject.id,
        corpus_id=shown.corpus_id,
        context_length=8,
        seed=0,
        dtype="float32",
        device="cpu",
        code_version="test",
        tokens_planned=800,
    )
    return session.get_one(Collection, collection_id)


def report(session: Session, collection: Collection, part: str, tokens: int | None, **values: object) -> None:
    stage = CollectionStage.COLLECT if tokens is not None else CollectionStage.LOOK
    progress = CollectionProgress(stage, 0.5, part, tokens, 100.0 if tokens is not None else None)
    state.report_progress(session, collection_id=collection.id, progress=progress, lease_seconds=60)
    session.refresh(collection)


def only(session: Session) -> UnfinishedCollection:
    (found,) = rows_of(session, UNFINISHED.given())
    return found


def test_a_collection_is_found_by_its_key(session: Session, running: Collection) -> None:
    begun = state.begun_collection(session, key=KEY)
    assert begun is not None
    assert (begun.collection_id, begun.subject_id) == (running.id, running.subject_id)
    assert state.begun_collection(session, key=uuid.UUID(int=8)) is None


def test_a_running_collection_is_alive_until_its_lease_has_passed(session: Session, running: Collection) -> None:
    assert only(session).is_alive
    running.lease_until = datetime.now(UTC) - timedelta(seconds=1)
    session.flush()
    assert (only(session).status, only(session).is_alive) == (CollectionStatus.RUNNING, False)
    report(session, running, "1/1", 80)
    assert only(session).is_alive
    state.release_collection(session, collection_id=running.id)
    assert not only(session).is_alive


def test_progress_has_stage_share_tokens_and_speed(session: Session, running: Collection) -> None:
    report(session, running, "1/1", 400)
    found = only(session)
    assert (found.stage, found.progress, found.tokens_done) == (CollectionStage.COLLECT, 0.5, 400)
    assert found.seconds_left == pytest.approx(4.0)
    report(session, running, "1/1", None)
    assert (only(session).stage, only(session).tokens_done, only(session).seconds_left) == ("look", 400, None)


def test_parts_add_up_and_have_no_common_speed(session: Session, running: Collection) -> None:
    report(session, running, "1/2", 100)
    report(session, running, "2/2", 40)
    report(session, running, "1/2", 120)
    assert (running.tokens_done, running.tokens_per_second) == (160, None)
    report(session, running, "1/1", 300)  # begun again by one process
    assert (running.tokens_done, running.tokens_per_second) == (300, 100.0)


def test_progress_is_stored_only_while_it_runs(session: Session, running: Collection) -> None:
    complete_collection(session, collection_id=running.id, values={"tokens_done": 800})
    report(session, running, "1/1", 400)
    assert (running.status, running.tokens_done) == ("complete", 800)


def test_a_failure_is_told_until_it_is_resumed(session: Session, running: Collection) -> None:
    state.fail_collection(session, collection_id=running.id, error="disk full")
    assert (only(session).status, only(session).error, only(session).is_alive) == ("failed", "disk full", False)
    state.resume_collection(session, collection_id=running.id)
    assert (only(session).status, only(session).error, only(session).is_alive) == ("running", None, True)


def test_what_is_older_than_the_collection_that_is_shown_is_not_unfinished(
    session: Session, running: Collection, subject: Subject
) -> None:
    state.fail_collection(session, collection_id=running.id, error="disk full")
    newer = state.start_collection(
        session,
        subject_id=subject.id,
        corpus_id=running.corpus_id,
        context_length=8,
        seed=0,
        dtype="float32",
        device="cpu",
        code_version="test",
        tokens_planned=800,
    )
    assert len(rows_of(session, UNFINISHED.given())) == 2
    complete_collection(session, collection_id=newer, values={})
    assert rows_of(session, UNFINISHED.given()) == []


def test_what_nothing_has_worked_on_for_long_is_not_shown(session: Session, running: Collection) -> None:
    running.lease_until = datetime.now(UTC) - timedelta(days=SHOWN_DAYS, seconds=1)
    session.flush()
    assert rows_of(session, UNFINISHED.given()) == []
