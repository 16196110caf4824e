"""The queue's library, procrastinate, as a transport: jobs that carry a run's id and nothing else.

Its own SQL runs on the session's connection, so that a run and its job change in one transaction.
A job's ``queueing_lock`` is its run's id: the library's unique index allows one waiting job per run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from procrastinate import sql
from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

TASK_NAME = "explain_neuron"
DEFAULT_QUEUE = "default"

_CHUNK = 10_000
_FINAL_STATUSES = ["succeeded", "failed", "cancelled", "aborted"]


@dataclass(frozen=True, slots=True)
class RunJob:
    """What a job says: which run is meant. All else stands in the run's row."""

    run_id: int


@dataclass(frozen=True, slots=True)
class FetchedJob:
    """A job that this transaction has taken from the queue."""

    id: int
    payload: RunJob


def queue_of(provider: str | None) -> str:
    """The queue of the methods of one provider: an outage of it holds up no other's."""
    return DEFAULT_QUEUE if provider is None else f"provider:{provider}"


def defer_jobs(session: Session, *, queue: str, jobs: Sequence[RunJob]) -> None:
    """Put jobs into a queue. Raises ``sqlalchemy.exc.IntegrityError`` where a run already has one waiting."""
    for start in range(0, len(jobs), _CHUNK):
        rows = [
            (queue, TASK_NAME, 0, None, str(job.run_id), Jsonb({"run_id": job.run_id}), None)
            for job in jobs[start : start + _CHUNK]
        ]
        session.connection().exec_driver_sql(sql.queries["defer_jobs"], {"jobs": rows})


def fetch_job(session: Session, *, queues: Sequence[str]) -> FetchedJob | None:
    """Take the oldest due job of these queues, skipping those that others are taking."""
    row = (
        session.connection()
        .exec_driver_sql(sql.queries["fetch_job"], {"queues": list(queues), "worker_id": None})
        .mappings()
        .one()
    )
    return None if row["id"] is None else FetchedJob(row["id"], RunJob(int(row["args"]["run_id"])))


def finish_job(session: Session, *, job_id: int, status: str) -> None:
    """End a job that was taken: ``succeeded``, ``failed`` or ``aborted``."""
    session.connection().exec_driver_sql(
        sql.queries["finish_job"], {"job_id": job_id, "status": status, "delete_job": False}
    )


def put_back_job(session: Session, *, job_id: int, at: datetime | None = None) -> None:
    """Let a job that was taken, or that has failed, wait again, due now or at a later time."""
    session.connection().exec_driver_sql(
        sql.queries["retry_job"],
        {"job_id": job_id, "retry_at": at, "new_priority": None, "new_queue_name": None, "new_lock": None},
    )


def cancel_waiting_jobs(session: Session, *, jobs: Sequence[RunJob]) -> None:
    """End the waiting jobs of these runs."""
    session.connection().exec_driver_sql(
        "SELECT procrastinate_cancel_job_v1(id, false, false) FROM procrastinate_jobs"
        " WHERE queueing_lock = ANY(%(locks)s) AND status = 'todo'",
        {"locks": [str(job.run_id) for job in jobs]},
    )


def delete_old_jobs(session: Session, *, hours: int) -> None:
    """Delete the jobs that ended more than ``hours`` ago."""
    session.connection().exec_driver_sql(
        sql.queries["delete_old_jobs"], {"queue": None, "statuses": _FINAL_STATUSES, "nb_hours": hours}
    )
