"""Rows of batches and runs, for those who queue, cancel and retry them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, cast, func, select, text, update
from sqlalchemy.orm import Session

from app.domain.work import WorkStatus
from app.models import Batch, Neuron, Run
from app.models.work import IS_ACTIVE

_INSERT = """
    INSERT INTO run (batch_id, neuron_id, method_id, explanation_id)
    SELECT :batch_id, id, :method_id, CAST(:explanation_id AS bigint) FROM neuron
    WHERE id = ANY(CAST(:neuron_ids AS bigint[])) AND subject_id = :subject_id
    ORDER BY id
    ON CONFLICT (neuron_id, method_id) WHERE {active} DO NOTHING
"""
_INSERT_RUNS = text(_INSERT.format(active=IS_ACTIVE))


@dataclass(frozen=True, slots=True)
class RunState:
    """What a decision about a run needs to know."""

    id: int
    batch_id: int
    subject_id: int
    neuron_id: int
    status: WorkStatus
    error: str | None


def insert_batch(
    session: Session, *, subject_id: int, method_id: int, account_id: int | None, explanation_id: int | None = None
) -> Batch:
    """A batch that has no runs yet. With ``explanation_id`` its runs score that explanation instead of explaining."""
    batch = Batch(
        subject_id=subject_id, method_id=method_id, account_id=account_id, explanation_id=explanation_id, n_runs=0
    )
    session.add(batch)
    session.flush()  # its runs need its id
    return batch


def insert_runs(session: Session, *, batch: Batch, neuron_ids: Sequence[int]) -> int:
    """One queued run for each of these neurons that has no active run of the batch's method. Returns their number.

    Neurons of other subjects are left out.
    """
    values = {
        "batch_id": batch.id,
        "method_id": batch.method_id,
        "subject_id": batch.subject_id,
        "neuron_ids": list(neuron_ids),
        "explanation_id": batch.explanation_id,
    }
    n_runs = session.connection().execute(_INSERT_RUNS, values).rowcount
    session.execute(update(Batch).where(Batch.id == batch.id).values(n_runs=n_runs))
    return n_runs


def count_neurons(session: Session, *, subject_id: int, neuron_ids: Sequence[int]) -> int:
    """The number of these ids that are neurons of the subject."""
    wanted = func.any(cast(list(neuron_ids), ARRAY(BigInteger)))
    return session.scalars(select(func.count()).where(Neuron.id == wanted, Neuron.subject_id == subject_id)).one()


def mark_cancelled(session: Session, *, batch_id: int) -> None:
    """Note when a batch was cancelled."""
    session.execute(update(Batch).where(Batch.id == batch_id).values(cancelled_at=func.now()))


def locked_run(session: Session, *, run_id: int) -> RunState | None:
    """A run's state, locked until the transaction ends."""
    row = session.execute(
        select(Run.id, Run.batch_id, Batch.subject_id, Run.neuron_id, Run.status, Run.error)
        .join(Batch, Batch.id == Run.batch_id)
        .where(Run.id == run_id)
        .with_for_update(of=Run)
    ).first()
    if row is None:
        return None
    return RunState(row.id, row.batch_id, row.subject_id, row.neuron_id, WorkStatus(row.status), row.error)
