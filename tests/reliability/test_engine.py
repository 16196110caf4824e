"""The engine's jobs: written with the work they announce, harmless to lose, and cleaned up after a kill."""

import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import procrastinate
import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import transaction
from app.domain.work import Lane, WorkStatus
from app.queries.common.bulk import driver_connection
from app.work.begin import Taker, begin_run
from app.work.engine import TURN, wake_workers
from app.work.enqueue import cancel_batch, enqueue_batch, retry_run
from app.work.lease import RunLease, release, retry_later
from tests.reliability.conftest import MakeStage
from tests.reliability.fleet import fleet, wait_until
from worker.run.outages import is_outage

NEVER = {"LOOK_SECONDS": "30"}
"""Looks so seldom that nearly all that happens in a test was announced."""


class Jobs:
    """The engine's jobs, as its documented interface lists them."""

    def __init__(self, url: str) -> None:
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=address, min_size=1))

    def waiting(self, queue: str) -> list[int]:
        return self._ids(queue, "todo")

    def taken(self, queue: str) -> list[int]:
        return self._ids(queue, "doing")

    def lose(self, queue: str) -> None:
        """Delete those that wait."""
        for number in self.waiting(queue):
            self.app.job_manager.cancel_job_by_id(number, delete_job=True)

    def _ids(self, queue: str, status: str) -> list[int]:
        return [job.id for job in self.app.job_manager.list_jobs(queue=queue, task=TURN, status=status) if job.id]


@pytest.fixture
def jobs(fresh_database: str) -> Iterator[Jobs]:
    found = Jobs(fresh_database)
    with found.app.open():
        yield found


def begin(session: Session) -> RunLease:
    """A run that some worker has begun."""
    lease = begin_run(session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
    assert lease is not None
    return lease


def test_one_job_announces_a_batch_of_any_size(stage: MakeStage, jobs: Jobs) -> None:
    stage(500).enqueue()
    assert len(jobs.waiting("runs")) == 1


def test_work_that_is_rolled_back_is_not_announced(stage: MakeStage, jobs: Jobs) -> None:
    on = stage(1)
    with on.sessions() as session:
        enqueue_batch(
            session, subject_id=on.subject_id, neuron_ids=on.neuron_ids, method_id=on.method_id, account_id=None
        )
        session.rollback()
    assert jobs.waiting("runs") == []


def test_a_task_is_announced_in_its_lane(stage: MakeStage, jobs: Jobs) -> None:
    stage(1).enqueue_tasks(1)
    assert (len(jobs.waiting("background")), len(jobs.waiting("runs"))) == (1, 0)


@pytest.mark.parametrize(("delay", "n_jobs"), [(0.0, 1), (60.0, 0)])
def test_work_that_is_put_back_is_announced_where_it_is_due_at_once(
    stage: MakeStage, jobs: Jobs, delay: float, n_jobs: int
) -> None:
    on = stage(1)
    on.enqueue()
    with transaction(on.sessions) as session:
        lease = begin(session)
    jobs.lose("runs")
    with transaction(on.sessions) as session:
        assert release(session, lease=lease, delay_seconds=delay)
    assert len(jobs.waiting("runs")) == n_jobs


def test_a_failed_attempt_that_waits_is_found_when_it_is_due(stage: MakeStage, jobs: Jobs, tmp_path: Path) -> None:
    on = stage(1)
    on.enqueue()
    with transaction(on.sessions) as session:
        retry_later(session, lease=begin(session), error="no", delay_seconds=1, max_attempts=5)
    jobs.lose("runs")
    with fleet(on.url, tmp_path, 1) as workers:
        workers.wait_until(partial(on.has_ended, 1))
        assert workers.stop() == [0]
    assert on.counts_by_status() == {"succeeded": 1}


def test_a_run_that_somebody_retries_is_announced(stage: MakeStage, jobs: Jobs) -> None:
    on = stage(1)
    batch = on.enqueue()
    with transaction(on.sessions) as session:
        cancel_batch(session, batch_id=batch.batch_id, account_id=None)
    jobs.lose("runs")
    with transaction(on.sessions) as session:
        retry_run(session, run_id=on.count("SELECT id FROM run"), account_id=None)
    assert len(jobs.waiting("runs")) == 1


def test_work_whose_job_is_lost_is_found_by_the_next_look(stage: MakeStage, jobs: Jobs, tmp_path: Path) -> None:
    on = stage(3)
    on.enqueue()
    on.enqueue_tasks(3)
    jobs.lose("runs")
    jobs.lose("background")
    with fleet(on.url, tmp_path, 2) as workers:
        workers.wait_until(partial(on.has_ended, 6))
        assert workers.stop() == [0, 0]
    on.assert_nothing_is_lost_or_doubled()


def test_one_batch_wakes_every_free_slot_of_every_worker(stage: MakeStage, tmp_path: Path) -> None:
    on = stage(12, seconds=2)
    with fleet(on.url, tmp_path, 2, CONCURRENCY="2", **NEVER) as workers:
        workers.wait_until(lambda: all(worker.has_started for worker in workers.workers))
        on.enqueue()
        workers.wait_until(lambda: on.count("SELECT count(*) FROM run WHERE status = 'running'") == 4)
        workers.stop()


def test_jobs_that_a_killed_worker_held_are_deleted(stage: MakeStage, jobs: Jobs, tmp_path: Path) -> None:
    on = stage(1, seconds=600)
    on.enqueue()
    with fleet(on.url, tmp_path, 1) as workers:
        workers.wait_until(lambda: on.counts_by_status() == {WorkStatus.RUNNING: 1})
        held = jobs.taken("runs")
        assert len(held) == 1
        workers.workers[0].kill()
        workers.keep()
        wait_until(lambda: not {*held} & {*jobs.taken("runs")})


def test_a_worker_that_stops_leaves_no_job_behind(stage: MakeStage, jobs: Jobs, tmp_path: Path) -> None:
    on = stage(4, seconds=0.5)
    on.enqueue()
    with fleet(on.url, tmp_path, 1) as workers:
        workers.wait_until(partial(on.has_ended, 1))
        assert workers.stop() == [0]
    assert (jobs.taken("runs"), jobs.taken("upkeep")) == ([], [])


def test_a_connection_that_breaks_while_work_is_announced_is_an_outage(stage: MakeStage) -> None:
    on = stage(1)
    with on.sessions() as session:
        driver_connection(session).pgconn.finish()
        with pytest.raises(DBAPIError) as caught:
            wake_workers(session, lane=Lane.RUNS)
    assert is_outage(caught.value)
    assert isinstance(caught.value.orig, psycopg.Error)
    on.enqueue()  # the pool has another connection for it
