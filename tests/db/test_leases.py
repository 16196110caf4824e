"""The life of leased work, on both tables: what holds for a run holds for a task of any kind."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.work import Lane, WorkStatus
from app.errors import Conflict, NotFound
from app.models import Task
from app.work.begin import begin_run, begin_task
from app.work.lease import (
    Lease,
    fail,
    find_lease,
    finish,
    reap_expired,
    release,
    renew_leases,
    retry_later,
    store_progress,
)
from app.work.tasks import cancel_task, retry_task
from tests.db.leased import HOUR, Queue, Runs, Tasks
from tests.factories import Make


@pytest.fixture(params=[Runs, Tasks])
def queue(request: pytest.FixtureRequest, session: Session, make: Make) -> Queue:
    built: Queue = request.param(session, make)
    return built


@pytest.fixture
def runs(session: Session, make: Make) -> Runs:
    return Runs(session, make)


@pytest.fixture
def tasks(session: Session, make: Make) -> Tasks:
    return Tasks(session, make)


def test_work_of_one_person_is_taken_in_the_order_it_was_queued(queue: Queue) -> None:
    assert queue.held().id < queue.held().id
    assert queue.begin() is None


def test_work_that_begins_has_a_lease(queue: Queue) -> None:
    lease = queue.held()
    row = queue.row(lease)
    assert (row.status, row.executions, row.lease_token) == ("running", 1, lease.token)
    assert lease.subject_id == queue.subject.id


def test_a_lease_is_found_by_its_token_while_it_is_held(queue: Queue) -> None:
    lease = queue.held()
    assert find_lease(queue.session, token=lease.token) == lease
    release(queue.session, lease=lease)
    assert find_lease(queue.session, token=lease.token) is None


def test_work_is_finished_once(queue: Queue) -> None:
    lease = queue.held()
    assert finish(queue.session, lease=lease)
    row = queue.row(lease)
    assert (row.status, row.progress, row.lease_token) == ("succeeded", 1, None)
    assert not finish(queue.session, lease=lease)


def test_a_task_keeps_its_result(tasks: Tasks) -> None:
    lease = tasks.held()
    finish(tasks.session, lease=lease, result={"n": 1})
    task = tasks.row(lease)
    assert isinstance(task, Task)
    assert task.result == {"n": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda s, lease: finish(s, lease=lease, result={"late": True}),
        lambda s, lease: fail(s, lease=lease, error="x"),
        lambda s, lease: retry_later(s, lease=lease, error="x", delay_seconds=0, max_attempts=1),
        lambda s, lease: retry_later(s, lease=lease, error="x", delay_seconds=0, max_attempts=5),
        lambda s, lease: release(s, lease=lease),
        lambda s, lease: store_progress(s, lease=lease, stage="x", progress=0.5),
        lambda s, lease: bool(renew_leases(s, leases=[lease], lease_seconds=HOUR)),
    ],
)
def test_an_old_lease_changes_nothing(queue: Queue, change: Callable[[Session, Lease], bool]) -> None:
    late = queue.held()
    queue.expire(late)
    queue.reap()
    current = queue.held()
    assert current.id == late.id
    assert not change(queue.session, late)
    assert not change(queue.session, replace(current, token=uuid.uuid4()))
    assert (queue.row(current).status, queue.row(current).attempt) == ("running", 0)
    assert getattr(queue.row(current), "result", None) is None


def test_a_permanent_failure_keeps_its_cause(queue: Queue) -> None:
    lease = queue.held()
    assert fail(queue.session, lease=lease, error="This neuron never fires.")
    assert (queue.row(lease).status, queue.row(lease).error) == ("failed", "This neuron never fires.")
    assert queue.events() == [f"{queue.kind}.failed"]


def test_a_failed_attempt_waits_for_its_delay(queue: Queue) -> None:
    first = queue.held()
    assert retry_later(queue.session, lease=first, error="broken", delay_seconds=HOUR, max_attempts=5)
    assert (queue.row(first).status, queue.row(first).attempt) == ("queued", 1)
    assert queue.held().id != first.id
    assert queue.begin() is None


def test_the_last_allowed_attempt_ends_in_quarantine(queue: Queue) -> None:
    for _ in range(2):
        lease = queue.held()
        assert retry_later(queue.session, lease=lease, error="broken", delay_seconds=0, max_attempts=2)
    assert (queue.row(lease).status, queue.row(lease).attempt) == ("quarantined", 2)
    assert queue.events() == [f"{queue.kind}.quarantined"]


def test_released_work_is_the_next_and_counts_no_attempt(queue: Queue) -> None:
    lease = queue.held()
    assert release(queue.session, lease=lease)
    again = queue.held()
    assert (again.id, again.attempt) == (lease.id, 0)
    assert queue.row(again).executions == 2


def test_an_expired_lease_is_a_crash_and_the_work_waits_again(queue: Queue) -> None:
    lease = queue.held()
    queue.expire(lease)
    assert queue.reap() == (1, 0)
    row = queue.row(lease)
    assert (row.status, row.deaths, row.attempt) == ("queued", 1, 0)


def test_what_crashed_with_one_worker_does_not_begin_again_together(runs: Runs) -> None:
    worker = uuid.uuid4()
    both = [begin_run(runs.session, taker=replace(runs.taker, worker_id=worker)) for _ in range(2)]
    for lease in both:
        assert lease is not None
        runs.expire(lease)
    reap_expired(runs.session, lease_seconds=0, max_deaths=3, retry_seconds=HOUR)
    assert runs.begin() is not None
    assert runs.begin() is None


def test_a_lease_that_runs_is_not_reaped(queue: Queue) -> None:
    queue.held()
    assert queue.reap() == (0, 0)


def test_nothing_is_reaped_soon_after_the_server_started(queue: Queue) -> None:
    queue.expire(queue.held())
    assert reap_expired(queue.session, lease_seconds=1e6, max_deaths=3).n_requeued == 0


def test_work_that_crashes_its_worker_again_and_again_goes_in_quarantine(queue: Queue) -> None:
    reaped = []
    for _ in range(3):
        lease = queue.held()
        queue.expire(lease)
        reaped.append(queue.reap())
    assert reaped == [(1, 0), (1, 0), (0, 1)]
    row = queue.row(lease)
    assert (row.status, row.deaths, row.attempt) == ("quarantined", 3, 0)
    assert row.error is not None
    assert "3 of 3" in row.error
    assert queue.held().id != lease.id


def test_renewal_returns_the_leases_that_are_still_held(queue: Queue) -> None:
    kept, lost = queue.held(), queue.held()
    finish(queue.session, lease=lost)
    assert renew_leases(queue.session, leases=[kept, lost], lease_seconds=HOUR) == {kept.token}


def test_progress_is_kept_with_the_work(queue: Queue) -> None:
    lease = queue.held()
    assert store_progress(queue.session, lease=lease, stage="simulate", progress=0.5)
    assert (queue.row(lease).stage, queue.row(lease).progress) == ("simulate", 0.5)


def test_running_work_that_is_cancelled_is_lost_to_its_worker(queue: Queue) -> None:
    lease = queue.held()
    queue.cancel(lease)
    assert not store_progress(queue.session, lease=lease, stage="simulate", progress=0.5)
    assert not finish(queue.session, lease=lease)
    assert queue.row(lease).status == "cancelled"


@pytest.mark.parametrize("end", [lambda s, lease: fail(s, lease=lease, error="x"), None])
def test_work_without_a_result_can_start_over(queue: Queue, end: Callable[[Session, Lease], bool] | None) -> None:
    lease = queue.held()
    if end is None:
        queue.cancel(lease)
    else:
        end(queue.session, lease)
    queue.retry(lease)
    row = queue.row(lease)
    assert (row.status, row.error, row.attempt, row.finished_at) == ("queued", None, 0, None)
    assert queue.held().id == lease.id


def test_what_is_active_or_has_a_result_is_not_retried_and_what_has_ended_is_not_cancelled(queue: Queue) -> None:
    lease = queue.held()
    with pytest.raises(Conflict, match="this one is running"):
        queue.retry(lease)
    finish(queue.session, lease=lease)
    with pytest.raises(Conflict, match="this one is succeeded"):
        queue.retry(lease)
    with pytest.raises(Conflict, match="it is succeeded"):
        queue.cancel(lease)


def test_unknown_tasks_are_not_found(tasks: Tasks) -> None:
    for decide in (cancel_task, retry_task):
        with pytest.raises(NotFound):
            decide(tasks.session, task_id=0, account_id=None)


def test_one_active_task_has_a_key(tasks: Tasks) -> None:
    first = tasks.enqueue("import", unique_key="file")
    assert tasks.enqueue("again", unique_key="file") == first
    cancel_task(tasks.session, task_id=first, account_id=None)
    second = tasks.enqueue("later", unique_key="file")
    assert second != first
    with pytest.raises(Conflict, match="already queued"):
        retry_task(tasks.session, task_id=first, account_id=None)


def test_a_worker_takes_only_the_kinds_that_it_knows(tasks: Tasks) -> None:
    taker = tasks.taker
    assert begin_task(tasks.session, taker=taker, lane=Lane.BACKGROUND, kinds=["other"]) is None
    assert begin_task(tasks.session, taker=taker, lane=Lane.INTERACTIVE, kinds=["pretend"]) is None


def test_the_tables_know_every_status_and_no_other(queue: Queue) -> None:
    table = queue.held().table

    def change(status: str) -> None:
        with queue.session.begin_nested():
            queue.session.execute(text(f"UPDATE {table} SET status = :status"), {"status": status})

    for status in WorkStatus:
        change(status)
    with pytest.raises(IntegrityError):
        change("done")
