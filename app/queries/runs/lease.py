"""A run's life under a lease: begin, renew, finish, fail, put back, reap.

The run's row is the truth and its lease token the fence: whoever no longer holds the token changes
nothing. Locks are taken in one order everywhere: runs, jobs, neurons by rising id.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.queries.history.events import record_event
from app.queries.runs.pauses import open_queues
from app.queries.runs.transport import FetchedJob, fetch_job, finish_job, put_back_job, queue_of


@dataclass(frozen=True, slots=True)
class RunLease:
    """The right to work on a run until the lease ends. All later changes need its token."""

    run_id: int
    token: uuid.UUID
    job_id: int
    batch_id: int
    neuron_id: int
    method_id: int
    attempt: int
    queue: str


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a search for expired leases did."""

    n_requeued: int = 0
    n_quarantined: int = 0


# The commit need not reach the disk: a crash that forgets it puts the run back, and the fence refuses the
# late result. Without the second, right after a large batch the planner, which knows nothing of its jobs yet,
# sorts them all for each one that is taken instead of walking the index that has them in order.
_BEGIN_SETTINGS = text("SELECT set_config('synchronous_commit', 'off', true), set_config('enable_sort', 'off', true)")
_BEGIN = text("""
    UPDATE run SET status = 'running', stage = 'starting', progress = 0, executions = executions + 1,
        job_id = :job_id, lease_token = :token, lease_until = now() + make_interval(secs => :lease_seconds),
        worker_id = :worker_id, started_at = now()
    FROM method
    WHERE method.id = run.method_id
        AND run.id = (SELECT id FROM run WHERE id = :run_id AND status = 'queued' FOR UPDATE SKIP LOCKED)
    RETURNING run.id, run.lease_token, run.job_id, run.batch_id, run.neuron_id, run.method_id, run.attempt,
        method.provider
""")
_FIND = text("""
    SELECT run.id, run.lease_token, run.job_id, run.batch_id, run.neuron_id, run.method_id, run.attempt,
        method.provider
    FROM run JOIN method ON method.id = run.method_id
    WHERE run.status = 'running' AND run.lease_token = :token
""")
_RENEW = text("""
    UPDATE run SET lease_until = now() + make_interval(secs => :lease_seconds)
    WHERE id = ANY(CAST(:run_ids AS bigint[])) AND lease_token = ANY(CAST(:tokens AS uuid[])) AND status = 'running'
    RETURNING id
""")
_PROGRESS = text("""
    UPDATE run SET stage = :stage, progress = :progress
    WHERE id = :run_id AND lease_token = :token AND status = 'running'
    RETURNING id
""")
_END = text("""
    UPDATE run SET status = CAST(:status AS text), stage = CAST(:status AS text), error = :error,
        attempt = attempt + :failures,
        progress = CASE WHEN CAST(:status AS text) = 'succeeded' THEN 1 ELSE progress END,
        lease_token = NULL, lease_until = NULL, finished_at = now()
    FROM neuron
    WHERE run.id = :run_id AND lease_token = :token AND status = 'running' AND neuron.id = run.neuron_id
    RETURNING neuron.subject_id
""")
_PUT_BACK = text("""
    UPDATE run SET status = 'queued', stage = 'queued', progress = 0, error = coalesce(:error, error),
        attempt = attempt + :failures, deaths = deaths + :deaths,
        lease_token = NULL, lease_until = NULL, worker_id = NULL
    WHERE id = :run_id AND lease_token = :token AND status = 'running'
    RETURNING now() + make_interval(secs => :delay_seconds)
""")
_EXPIRED = text("""
    SELECT id, lease_token, job_id, batch_id, neuron_id, method_id, attempt, deaths, NULL AS provider FROM run
    WHERE status = 'running' AND lease_until < now()
        AND pg_postmaster_start_time() < now() - make_interval(secs => :lease_seconds)
    ORDER BY neuron_id LIMIT 100 FOR UPDATE SKIP LOCKED
""")
_DIED = text("UPDATE run SET deaths = deaths + 1 WHERE id = :run_id")


def begin_run(session: Session, *, worker_id: uuid.UUID, token: uuid.UUID, lease_seconds: float) -> RunLease | None:
    """Take the oldest due job of the queues that are open, and the lease of its run. None where there is none.

    ``token`` is new and the caller's: ``find_lease`` tells by it whether a commit of unknown outcome held.

    Raises Conflict where somebody is changing that very run: roll back and look again.
    """
    session.execute(_BEGIN_SETTINGS)
    queues = open_queues(session)
    while (job := fetch_job(session, queues=queues)) is not None:
        values = {"worker_id": worker_id, "token": token, "lease_seconds": lease_seconds}
        lease = _lease(session, job=job, values=values)
        if lease is not None:
            return lease
        status = session.scalar(text("SELECT status FROM run WHERE id = :run_id"), {"run_id": job.payload.run_id})
        if status == "queued":
            raise Conflict("Somebody is changing this run.")
        finish_job(session, job_id=job.id, status="aborted")  # its run has ended or is gone
    return None


def _lease(session: Session, *, job: FetchedJob, values: dict[str, object]) -> RunLease | None:
    row = session.execute(_BEGIN, {**values, "run_id": job.payload.run_id, "job_id": job.id}).first()
    return None if row is None else _as_lease(row)


def find_lease(session: Session, *, token: uuid.UUID) -> RunLease | None:
    """The lease that this token holds, None where it holds none."""
    row = session.execute(_FIND, {"token": token}).first()
    return None if row is None else _as_lease(row)


def _as_lease(row: Row[Any]) -> RunLease:
    return RunLease(
        run_id=row.id,
        token=row.lease_token,
        job_id=row.job_id,
        batch_id=row.batch_id,
        neuron_id=row.neuron_id,
        method_id=row.method_id,
        attempt=row.attempt,
        queue=queue_of(row.provider),
    )


def renew_leases(session: Session, *, leases: Sequence[RunLease], lease_seconds: float) -> set[int]:
    """Prolong leases; answers the ids of the runs that are still held."""
    values = {
        "run_ids": [lease.run_id for lease in leases],
        "tokens": [str(lease.token) for lease in leases],
        "lease_seconds": lease_seconds,
    }
    return set(session.scalars(_RENEW, values))


def store_progress(session: Session, *, lease: RunLease, stage: str, progress: float) -> bool:
    """Note where a run stands (``progress`` 0..1). False where it is no longer held: cancelled or taken over."""
    values = {"run_id": lease.run_id, "token": lease.token, "stage": stage, "progress": progress}
    return session.execute(_PROGRESS, values).first() is not None


def finish_run(session: Session, *, lease: RunLease) -> bool:
    """Mark a run as succeeded, before its results are stored in the same transaction.

    False where the lease is lost: the caller rolls back and drops its results.
    """
    return _end(session, lease=lease, status="succeeded", error=None, failures=0) is not None


def fail_run(session: Session, *, lease: RunLease, error: str) -> bool:
    """End a run without a result, for a permanent cause. False where the lease is lost; then nothing was changed."""
    return _end_without_result(session, lease=lease, status="failed", error=error, failures=1)


def _end_without_result(session: Session, *, lease: RunLease, status: str, error: str, failures: int) -> bool:
    subject_id = _end(session, lease=lease, status=status, error=error, failures=failures)
    if subject_id is None:
        return False
    record_event(
        session,
        kind=f"run.{status}",
        subject_id=subject_id,
        neuron_id=lease.neuron_id,
        detail={"run_id": lease.run_id, "batch_id": lease.batch_id, "error": error},
    )
    return True


def _end(session: Session, *, lease: RunLease, status: str, error: str | None, failures: int) -> int | None:
    """End a held run, its job and its place in the neuron's count; answers the subject, None where not held."""
    values = {"run_id": lease.run_id, "token": lease.token, "status": status, "error": error, "failures": failures}
    row = session.execute(_END, values).first()
    if row is None:
        return None
    finish_job(session, job_id=lease.job_id, status="succeeded" if status == "succeeded" else "failed")
    return int(row.subject_id)


def retry_later(session: Session, *, lease: RunLease, error: str, delay_seconds: float, max_attempts: int) -> bool:
    """A failed attempt: queue the run again after a delay, or in quarantine after ``max_attempts``.

    False where the lease is lost; then nothing was changed.
    """
    if lease.attempt + 1 >= max_attempts:
        return _end_without_result(session, lease=lease, status="quarantined", error=error, failures=1)
    return _put_back(session, lease=lease, error=error, failures=1, delay_seconds=delay_seconds)


def release_run(session: Session, *, lease: RunLease) -> bool:
    """Put a run back that this worker will not finish, for no fault of the run: no attempt is counted.

    False where the lease is lost; then nothing was changed.
    """
    return _put_back(session, lease=lease, error=None)


def _put_back(
    session: Session,
    *,
    lease: RunLease,
    error: str | None,
    failures: int = 0,
    deaths: int = 0,
    delay_seconds: float = 0,
) -> bool:
    values = {
        "run_id": lease.run_id,
        "token": lease.token,
        "error": error,
        "failures": failures,
        "deaths": deaths,
        "delay_seconds": delay_seconds,
    }
    row = session.execute(_PUT_BACK, values).first()
    if row is None:
        return False
    put_back_job(session, job_id=lease.job_id, at=row[0] if delay_seconds else None)
    return True


def reap_expired(session: Session, *, lease_seconds: float, max_deaths: int) -> Reaped:
    """Queue the runs again whose lease has expired; those that did so ``max_deaths`` times go in quarantine.

    An expired lease is the death of a worker, unless the database itself was away: within
    ``lease_seconds`` of its start nothing is reaped, so that workers can renew. Any number of callers at a time.
    """
    n_quarantined = 0
    expired = session.execute(_EXPIRED, {"lease_seconds": lease_seconds}).all()
    for row in expired:
        lease = _as_lease(row)
        times = row.deaths + 1
        error = f"Its worker died or froze while it ran ({times} of {max_deaths} times)."
        if times < max_deaths:
            _put_back(session, lease=lease, error=error, deaths=1)
        else:
            session.execute(_DIED, {"run_id": row.id})
            _end_without_result(session, lease=lease, status="quarantined", error=error, failures=0)
            n_quarantined += 1
    return Reaped(len(expired) - n_quarantined, n_quarantined)
