import uuid
from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.work import Lane
from app.models import Pause, Worker
from app.queries.work.pauses import end_pause, pause_provider
from app.queries.work.workers import delete_old_workers, register_worker
from app.work.begin import begin_run, begin_task
from app.work.tasks import enqueue_task
from tests.db.leased import PRETEND, Runs
from tests.factories import Make


@pytest.fixture
def runs(session: Session, make: Make) -> Runs:
    return Runs(session, make)


class Paused:
    """A provider whose runs and tasks wait."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        runs.method.provider = "hosted"
        runs.session.flush()

    def pause(self) -> datetime | None:
        return pause_provider(self.runs.session, provider="hosted", reason="down", base_seconds=10, limit_seconds=35)


@pytest.fixture
def paused(runs: Runs) -> Paused:
    return Paused(runs)


def test_a_paused_provider_is_left_alone_until_its_time(paused: Paused) -> None:
    enqueue_task(paused.runs.session, kind=PRETEND, title="judge", account_id=None, provider="hosted")
    assert paused.pause() is not None
    assert paused.pause() is None

    def begun() -> tuple[bool, bool]:
        session = paused.runs.session
        run = begin_run(session, taker=paused.runs.taker)
        task = begin_task(session, taker=paused.runs.taker, lane=Lane.BACKGROUND, kinds=["pretend"])
        return run is not None, task is not None

    assert begun() == (False, False)
    end_pause(paused.runs.session, provider="hosted")
    assert begun() == (True, True)


def test_each_failure_doubles_a_pause_up_to_the_limit(paused: Paused) -> None:
    session, waits = paused.runs.session, []
    for _ in range(4):
        session.execute(text("UPDATE pause SET until = now()"))
        until = paused.pause()
        assert until is not None
        waits.append(round((until - session.execute(text("SELECT now()")).scalar_one()).total_seconds()))
    assert waits == [10, 20, 35, 35]
    assert session.get_one(Pause, "hosted").n_failures == 4


def test_workers_that_are_long_gone_are_forgotten_and_no_others(session: Session) -> None:
    for name in ("old", "new"):
        register_worker(session, worker_id=uuid.uuid4(), host=name, pid=1, device="cpu")
    session.execute(text("UPDATE worker SET seen_at = now() - interval '73 hours' WHERE host = 'old'"))
    delete_old_workers(session, hours=72)
    assert session.scalars(select(Worker.host)).all() == ["new"]
