"""Progress in the database and the lease of a collection, from its own thread."""

from dataclasses import dataclass, field
from time import monotonic, sleep

import pytest
from sqlalchemy import func, select

from app.db import Sessions, make_engine, make_sessions, transaction
from app.domain.collections import CollectionStage
from app.models import Collection
from app.queries.subjects.collections import complete_collection
from app.settings import Settings
from tests.factories import Make
from worker.collection.passes import Part
from worker.collection.reporting import Pace, Progress, StoredProgress

SETTINGS = Settings(database_url=None, renew_seconds=10, lease_seconds=60, stall_seconds=600)
PATIENCE_SECONDS = 60.0


@dataclass
class Watched:
    """A running collection, and what stores its progress by a clock that a test moves."""

    sessions: Sessions
    id: int = 0
    now: float = 0.0
    store: StoredProgress = field(init=False)

    def __post_init__(self) -> None:
        with transaction(self.sessions) as session:
            subject = Make(session).subject()
            collection = session.get_one(Collection, subject.collection_id)
            collection.status, collection.tokens_done, collection.lease_until = "running", 0, func.now()
            self.id = collection.id
        self.store = StoredProgress(self.sessions, SETTINGS, Part(), clock=lambda: self.now)

    def at(self, stage: CollectionStage, done: int, total: int) -> Progress:
        return Progress(stage, done, total, 50.0, self.id)

    def row(self) -> Collection:
        with self.sessions() as session:
            return session.get_one(Collection, self.id)

    def lease(self) -> float:
        """Seconds of its lease when it was last renewed, by the database's clock."""
        left = func.extract("epoch", Collection.lease_until - func.now())
        with self.sessions() as session:
            return float(session.scalars(select(left).where(Collection.id == self.id)).one())


@pytest.fixture
def watched(sessions: Sessions) -> Watched:
    return Watched(sessions)


def test_progress_is_stored_with_its_stage(watched: Watched) -> None:
    watched.store(watched.at(CollectionStage.COLLECT, 400, 800))
    watched.store.store()
    row = watched.row()
    assert (row.stage, row.progress, row.tokens_done, row.tokens_per_second) == ("collect", 0.5, 400, 50.0)
    watched.store(watched.at(CollectionStage.STORE, 1, 4))
    watched.store.store()
    row = watched.row()
    assert (row.stage, row.progress, row.tokens_done, row.tokens_per_second) == ("store", 0.25, 400, 50.0)


def test_tokens_of_a_pass_that_ended_between_two_reports_are_stored_with_the_next_stage(watched: Watched) -> None:
    watched.store(watched.at(CollectionStage.COLLECT, 400, 800))
    watched.store.store()
    watched.store(watched.at(CollectionStage.COLLECT, 800, 800))
    watched.store(watched.at(CollectionStage.LOOK, 100, 200))
    watched.store.store()
    row = watched.row()
    assert (row.stage, row.progress, row.tokens_done) == ("look", 0.5, 800)


def test_the_lease_is_renewed_without_news_as_long_as_it_may_move_on(watched: Watched) -> None:
    def expire() -> None:
        with transaction(watched.sessions) as session:
            session.get_one(Collection, watched.id).lease_until = func.now()

    watched.store(watched.at(CollectionStage.COLLECT, 0, 800))
    watched.store.store()
    assert watched.lease() > 0
    expire()
    for now, is_renewed in ((9, False), (10, True), (15, False), (599, True), (601, False), (5000, False)):
        watched.now = now
        watched.store.store()
        assert (watched.lease() > 0) == is_renewed, now
        expire()
    watched.store(watched.at(CollectionStage.COLLECT, 8, 800))
    watched.store.store()
    assert watched.lease() > 0


def test_nothing_is_stored_before_there_is_a_collection(watched: Watched) -> None:
    watched.store(Progress(CollectionStage.CUT, 100, 0))
    watched.store.store()
    watched.store.release()
    assert watched.row().tokens_done == 0


def test_a_collection_that_is_left_has_no_lease(watched: Watched) -> None:
    watched.store(watched.at(CollectionStage.COLLECT, 8, 800))
    watched.store.store()
    watched.store.release()
    assert (watched.row().status, watched.lease() > 0) == ("running", False)


def test_a_complete_collection_stays_as_it_is(watched: Watched) -> None:
    watched.store(watched.at(CollectionStage.COLLECT, 8, 800))
    with transaction(watched.sessions) as session:
        complete_collection(session, collection_id=watched.id, values={"tokens_done": 800})
    watched.store.store()
    watched.store.release()
    assert (watched.row().status, watched.row().tokens_done) == ("complete", 800)


def test_speed_counts_from_where_a_stage_began_or_went_back() -> None:
    seen: list[Progress] = []
    pace = Pace(seen.append, CollectionStage.COLLECT, total=1000, collection_id=7)
    for done in (500, 500, 600, 100, 300):
        pace(done)
    assert [p.done for p in seen] == [500, 500, 600, 100, 300]
    assert [p.per_second is None for p in seen] == [True, True, False, True, False]
    assert {(p.stage, p.total, p.collection_id) for p in seen} == {(CollectionStage.COLLECT, 1000, 7)}


@pytest.fixture
def server(fresh_sessions: Sessions) -> Watched:
    return Watched(fresh_sessions)


def test_a_thread_stores_it_while_the_model_is_at_work(server: Watched) -> None:
    settings = SETTINGS.model_copy(update={"renew_seconds": 0.01})
    with StoredProgress(server.sessions, settings, Part()) as store:
        store(server.at(CollectionStage.LOOK, 1, 2))
        deadline = monotonic() + PATIENCE_SECONDS
        while server.row().stage != "look" and monotonic() < deadline:
            sleep(0.01)
        assert (server.row().stage, server.lease() > 0) == ("look", True)
    assert server.lease() <= 0


def test_an_outage_of_the_database_does_not_reach_the_collection(server: Watched) -> None:
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    store = StoredProgress(make_sessions(nowhere), SETTINGS, Part())
    store(server.at(CollectionStage.COLLECT, 8, 800))
    store.store()
    store.release()
    nowhere.dispose()
    assert server.row().tokens_done == 0
