"""Batches and the decisions of people about runs: queueing, cancelling, retrying.

Locks are taken in one order everywhere, so that nobody waits in a circle: runs by rising id, then jobs, then neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, cast, func, select, text, update
from sqlalchemy.orm import Session

from app.models import Batch, Method, Neuron, Run

_INSERT_RUNS = text("""
    INSERT INTO run (batch_id, neuron_id, method_id, explanation_id)
    SELECT :batch_id, id, :method_id, CAST(:explanation_id AS bigint) FROM neuron
    WHERE id = ANY(CAST(:neuron_ids AS bigint[])) AND subject_id = :subject_id
    ORDER BY id
    ON CONFLICT (neuron_id, method_id) WHERE status IN ('queued', 'running') DO NOTHING
    RETURNING id
""")
_CANCEL = """
    UPDATE run SET status = 'cancelled', lease_token = NULL, lease_until = NULL, finished_at = now()
    FROM (SELECT id, status FROM run WHERE {which} AND status IN ('queued', 'running') ORDER BY id FOR UPDATE) AS old
    WHERE run.id = old.id
    RETURNING run.id, run.job_id, old.status AS status_before
"""
_CANCEL_RUN = text(_CANCEL.format(which="id = :id"))
_CANCEL_BATCH = text(_CANCEL.format(which="batch_id = :id"))
_REQUEUE = text("""
    UPDATE run SET status = 'queued', stage = 'queued', progress = 0, attempt = 0, deaths = 0, error = NULL,
        job_id = NULL, worker_id = NULL, lease_token = NULL, lease_until = NULL, started_at = NULL,
        finished_at = NULL, queued_at = now()
    WHERE id = :run_id
""")


ENDED_WITHOUT_RESULT = ("failed", "cancelled", "quarantined")


@dataclass(frozen=True, slots=True)
class RunState:
    """What a decision about a run needs to know."""

    id: int
    batch_id: int
    subject_id: int
    neuron_id: int
    method_id: int
    provider: str | None
    status: str
    error: str | None


@dataclass(frozen=True, slots=True)
class CancelledRun:
    """A run that was just cancelled, and the job it had if it was running."""

    id: int
    was_running: bool
    job_id: int | None


def insert_batch(session: Session, *, subject_id: int, method_id: int, account_id: int | None) -> Batch:
    """A batch that has no runs yet."""
    batch = Batch(subject_id=subject_id, method_id=method_id, account_id=account_id, n_runs=0)
    session.add(batch)
    session.flush()  # its runs need its id
    return batch


def insert_runs(
    session: Session, *, batch: Batch, neuron_ids: Sequence[int], explanation_id: int | None = None
) -> list[int]:
    """One queued run for each of these neurons that has no active run of the batch's method.

    Answers the runs' ids in rising order. Neurons of other subjects are left out. With ``explanation_id``
    the runs score that explanation instead of explaining.
    """
    run_ids = session.scalars(
        _INSERT_RUNS,
        {
            "batch_id": batch.id,
            "method_id": batch.method_id,
            "subject_id": batch.subject_id,
            "neuron_ids": list(neuron_ids),
            "explanation_id": explanation_id,
        },
    ).all()
    batch.n_runs = len(run_ids)
    return sorted(run_ids)


def count_neurons(session: Session, *, subject_id: int, neuron_ids: Sequence[int]) -> int:
    """How many of these ids are neurons of the subject."""
    wanted = func.any(cast(list(neuron_ids), ARRAY(BigInteger)))
    return session.scalars(select(func.count()).where(Neuron.id == wanted, Neuron.subject_id == subject_id)).one()


def cancel_active_run(session: Session, *, run_id: int) -> list[CancelledRun]:
    """Mark a run as cancelled if it is active: none or one."""
    return [
        CancelledRun(r.id, r.status_before == "running", r.job_id) for r in session.execute(_CANCEL_RUN, {"id": run_id})
    ]


def cancel_active_runs(session: Session, *, batch_id: int) -> list[CancelledRun]:
    """Mark the active runs of a batch as cancelled."""
    rows = session.execute(_CANCEL_BATCH, {"id": batch_id})
    return [CancelledRun(r.id, r.status_before == "running", r.job_id) for r in rows]


def mark_cancelled(session: Session, *, batch_id: int) -> None:
    """Note when a batch was cancelled."""
    session.execute(update(Batch).where(Batch.id == batch_id).values(cancelled_at=func.now()))


def locked_run(session: Session, *, run_id: int) -> RunState | None:
    """A run's state, locked until the transaction ends."""
    row = session.execute(
        select(
            Run.id, Run.batch_id, Batch.subject_id, Run.neuron_id, Run.method_id, Method.provider, Run.status, Run.error
        )
        .join(Batch, Batch.id == Run.batch_id)
        .join(Method, Method.id == Run.method_id)
        .where(Run.id == run_id)
        .with_for_update(of=Run)
    ).first()
    return None if row is None else RunState(*row)


def requeue_ended_run(session: Session, *, run_id: int) -> None:
    """Let a run that has ended without a result start over: no attempts, no deaths, no error.

    Raises ``sqlalchemy.exc.IntegrityError`` where its neuron has another active run of the method.
    """
    session.execute(_REQUEUE, {"run_id": run_id})
