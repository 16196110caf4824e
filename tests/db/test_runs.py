import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.models import Event, Method, Pause, Run, Worker
from app.queries.runs.active import active_runs
from app.queries.runs.lease import (
    RunLease,
    begin_run,
    fail_run,
    find_lease,
    finish_run,
    reap_expired,
    release_run,
    renew_leases,
    retry_later,
    store_progress,
)
from app.queries.runs.pauses import end_pause, open_queues, pause_queue
from app.queries.runs.transport import delete_old_jobs
from app.queries.runs.workers import delete_old_workers, register_worker
from app.work.enqueue import cancel_run, enqueue_batch, retry_run
from tests.factories import Make

HOUR = 3600.0


class Queue:
    """Two neurons queued for one method, and short names for what a worker does."""

    def __init__(self, session: Session, make: Make) -> None:
        self.session = session
        subject = make.subject()
        self.neurons = [make.neuron(subject, index=i) for i in range(2)]
        self.method: Method = make.method()
        self.make = make
        enqueue_batch(
            session,
            subject_id=subject.id,
            neuron_ids=[n.id for n in self.neurons],
            method_id=self.method.id,
            account_id=None,
        )

    def begin(self) -> RunLease | None:
        return begin_run(self.session, worker_id=uuid.uuid4(), token=uuid.uuid4(), lease_seconds=HOUR)

    def held(self) -> RunLease:
        lease = self.begin()
        assert lease is not None
        return lease

    def run(self, lease: RunLease) -> Run:
        self.session.expire_all()
        return self.session.get_one(Run, lease.run_id)

    def n_active(self, lease: RunLease) -> int:
        return active_runs(self.session, neuron_ids=[lease.neuron_id]).get(lease.neuron_id, 0)

    def expire(self, lease: RunLease) -> None:
        """Let a lease run out, on a server that was started long before."""
        self.session.execute(
            text("UPDATE run SET lease_until = now() - interval '1 second' WHERE id = :id"), {"id": lease.run_id}
        )

    def reap(self, max_deaths: int = 3) -> tuple[int, int]:
        reaped = reap_expired(self.session, lease_seconds=0, max_deaths=max_deaths)
        return reaped.n_requeued, reaped.n_quarantined

    def pause(self, name: str) -> datetime | None:
        return pause_queue(self.session, queue=name, reason="down", base_seconds=10, limit_seconds=35)

    def jobs(self, lease: RunLease) -> list[str]:
        """The states of the run's jobs."""
        return list(
            self.session.scalars(
                text("SELECT status::text FROM procrastinate_jobs WHERE (args->>'run_id')::bigint = :id"),
                {"id": lease.run_id},
            )
        )

    def events(self) -> list[str]:
        return list(self.session.scalars(select(Event.kind).where(Event.kind.like("run.%")).order_by(Event.id)))


@pytest.fixture
def queue(session: Session, make: Make) -> Queue:
    return Queue(session, make)


def test_runs_are_taken_in_the_order_they_were_queued(queue: Queue) -> None:
    assert [queue.held().neuron_id, queue.held().neuron_id] == [n.id for n in queue.neurons]
    assert queue.begin() is None


def test_a_run_that_begins_has_a_lease_and_a_job_that_is_being_done(queue: Queue) -> None:
    lease = queue.held()
    run = queue.run(lease)
    assert (run.status, run.executions, run.lease_token, run.job_id) == ("running", 1, lease.token, lease.job_id)
    assert queue.jobs(lease) == ["doing"]


def test_a_lease_is_found_by_its_token_while_it_is_held(queue: Queue) -> None:
    lease = queue.held()
    assert find_lease(queue.session, token=lease.token) == lease
    release_run(queue.session, lease=lease)
    assert find_lease(queue.session, token=lease.token) is None


def test_a_finished_run_leaves_no_active_run_and_no_open_job(queue: Queue) -> None:
    lease = queue.held()
    assert finish_run(queue.session, lease=lease)
    run = queue.run(lease)
    assert (run.status, run.progress, run.lease_token) == ("succeeded", 1, None)
    assert queue.n_active(lease) == 0
    assert queue.jobs(lease) == ["succeeded"]


def test_a_run_is_finished_once(queue: Queue) -> None:
    lease = queue.held()
    assert finish_run(queue.session, lease=lease)
    assert not finish_run(queue.session, lease=lease)
    assert queue.n_active(lease) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda s, lease: finish_run(s, lease=lease),
        lambda s, lease: fail_run(s, lease=lease, error="x"),
        lambda s, lease: retry_later(s, lease=lease, error="x", delay_seconds=0, max_attempts=1),
        lambda s, lease: retry_later(s, lease=lease, error="x", delay_seconds=0, max_attempts=5),
        lambda s, lease: release_run(s, lease=lease),
        lambda s, lease: store_progress(s, lease=lease, stage="x", progress=0.5),
        lambda s, lease: bool(renew_leases(s, leases=[lease], lease_seconds=HOUR)),
    ],
)
def test_an_old_lease_changes_nothing(queue: Queue, change: Callable[[Session, RunLease], bool]) -> None:
    late = queue.held()
    queue.expire(late)
    queue.reap()
    current = queue.held()
    assert current.run_id == late.run_id
    assert not change(queue.session, late)
    assert not change(queue.session, replace(current, token=uuid.uuid4()))
    assert (queue.run(current).status, queue.run(current).attempt, queue.jobs(current)) == ("running", 0, ["doing"])


def test_a_permanent_failure_keeps_its_cause(queue: Queue) -> None:
    lease = queue.held()
    assert fail_run(queue.session, lease=lease, error="This neuron never fires.")
    assert (queue.run(lease).status, queue.run(lease).error) == ("failed", "This neuron never fires.")
    assert (queue.jobs(lease), queue.n_active(lease)) == (["failed"], 0)
    assert queue.events() == ["run.failed"]


def test_a_failed_attempt_waits_for_its_delay(queue: Queue) -> None:
    first = queue.held()
    assert retry_later(queue.session, lease=first, error="broken", delay_seconds=HOUR, max_attempts=5)
    assert (queue.run(first).status, queue.run(first).attempt, queue.jobs(first)) == ("queued", 1, ["todo"])
    assert queue.held().run_id != first.run_id
    assert queue.begin() is None


def test_the_last_allowed_attempt_ends_in_quarantine(queue: Queue) -> None:
    for _ in range(2):
        lease = queue.held()
        assert retry_later(queue.session, lease=lease, error="broken", delay_seconds=0, max_attempts=2)
    assert (queue.run(lease).status, queue.run(lease).attempt) == ("quarantined", 2)
    assert (queue.jobs(lease), queue.n_active(lease)) == (["failed"], 0)
    assert queue.events() == ["run.quarantined"]


def test_a_released_run_is_the_next_and_counts_no_attempt(queue: Queue) -> None:
    lease = queue.held()
    assert release_run(queue.session, lease=lease)
    again = queue.held()
    assert (again.run_id, again.attempt) == (lease.run_id, 0)
    assert queue.run(again).executions == 2


def test_an_expired_lease_is_a_death_and_the_run_waits_again(queue: Queue) -> None:
    lease = queue.held()
    queue.expire(lease)
    assert queue.reap() == (1, 0)
    run = queue.run(lease)
    assert (run.status, run.deaths, run.attempt) == ("queued", 1, 0)
    assert queue.jobs(lease) == ["todo"]
    assert queue.n_active(lease) == 1


def test_a_lease_that_runs_is_not_reaped(queue: Queue) -> None:
    queue.held()
    assert queue.reap() == (0, 0)


def test_nothing_is_reaped_soon_after_the_server_started(queue: Queue) -> None:
    queue.expire(queue.held())
    assert reap_expired(queue.session, lease_seconds=1e6, max_deaths=3).n_requeued == 0


def test_a_run_that_kills_its_worker_again_and_again_goes_in_quarantine(queue: Queue) -> None:
    answers = []
    for _ in range(3):
        lease = queue.held()
        queue.expire(lease)
        answers.append(queue.reap())
    assert answers == [(1, 0), (1, 0), (0, 1)]
    run = queue.run(lease)
    assert (run.status, run.deaths, run.attempt) == ("quarantined", 3, 0)
    assert run.error is not None
    assert "3 of 3" in run.error
    assert queue.n_active(lease) == 0
    assert queue.held().run_id != lease.run_id


def test_renewal_answers_the_runs_that_are_still_held(queue: Queue) -> None:
    kept, lost = queue.held(), queue.held()
    finish_run(queue.session, lease=lost)
    assert renew_leases(queue.session, leases=[kept, lost], lease_seconds=HOUR) == {kept.run_id}


def test_progress_is_kept_with_the_run(queue: Queue) -> None:
    lease = queue.held()
    assert store_progress(queue.session, lease=lease, stage="simulate", progress=0.5)
    assert (queue.run(lease).stage, queue.run(lease).progress) == ("simulate", 0.5)


def test_a_running_run_that_is_cancelled_is_lost_to_its_worker(queue: Queue) -> None:
    lease = queue.held()
    cancel_run(queue.session, run_id=lease.run_id, account_id=None)
    assert not store_progress(queue.session, lease=lease, stage="simulate", progress=0.5)
    assert not finish_run(queue.session, lease=lease)
    assert (queue.jobs(lease), queue.n_active(lease)) == (["aborted"], 0)


def test_a_failed_run_can_be_retried_with_a_job_of_its_own(queue: Queue) -> None:
    lease = queue.held()
    fail_run(queue.session, lease=lease, error="x")
    retry_run(queue.session, run_id=lease.run_id, account_id=None)
    assert sorted(queue.jobs(lease)) == ["failed", "todo"]
    assert queue.run(lease).error is None


def test_a_run_with_a_result_is_not_retried(queue: Queue) -> None:
    lease = queue.held()
    finish_run(queue.session, lease=lease)
    with pytest.raises(Conflict):
        retry_run(queue.session, run_id=lease.run_id, account_id=None)


def test_a_job_whose_run_has_ended_is_put_away(queue: Queue) -> None:
    queue.session.execute(
        text("UPDATE run SET status = 'cancelled' WHERE neuron_id = :id"), {"id": queue.neurons[0].id}
    )
    lease = queue.held()
    assert lease.neuron_id == queue.neurons[1].id


def test_a_paused_queue_is_left_alone_until_its_time(queue: Queue) -> None:
    assert queue.pause("default") is not None
    assert queue.pause("default") is None
    assert queue.begin() is None
    end_pause(queue.session, queue="default")
    assert queue.begin() is not None


def test_each_failure_doubles_a_pause_up_to_the_limit(queue: Queue) -> None:
    queue.make.method(name="chat").provider = "hosted"
    queue.session.flush()
    waits = []
    for _ in range(4):
        queue.session.execute(text("UPDATE pause SET until = now()"))
        until = queue.pause("provider:hosted")
        assert until is not None
        waits.append(round((until - queue.session.execute(text("SELECT now()")).scalar_one()).total_seconds()))
    assert waits == [10, 20, 35, 35]
    assert open_queues(queue.session) == ["default"]
    assert queue.session.get_one(Pause, "provider:hosted").n_failures == 4


def test_old_finished_jobs_and_unseen_workers_are_deleted_and_no_others(queue: Queue) -> None:
    done, current = queue.held(), queue.held()
    finish_run(queue.session, lease=done)
    for name in ("old", "new"):
        register_worker(queue.session, worker_id=uuid.uuid4(), host=name, pid=1, device="cpu")
    queue.session.execute(text("UPDATE procrastinate_events SET at = now() - interval '73 hours'"))
    queue.session.execute(text("UPDATE worker SET seen_at = now() - interval '73 hours' WHERE host = 'old'"))
    delete_old_jobs(queue.session, hours=72)
    delete_old_workers(queue.session, hours=72)
    assert (queue.jobs(done), queue.jobs(current)) == ([], ["doing"])
    assert queue.session.scalars(select(Worker.host)).all() == ["new"]
