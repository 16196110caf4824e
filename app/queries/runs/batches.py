"""Rows of batches and runs, for queueing, cancelling and retrying."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.work import WorkStatus
from app.models import Batch, Neuron, Run
from app.models.work import IS_ACTIVE
from app.queries.neurons.selection import NeuronSelection


@dataclass(frozen=True, slots=True)
class RunState:
    """The facts about a run that decide whether it can be cancelled or retried."""

    id: int
    batch_id: int
    subject_id: int
    neuron_id: int
    status: WorkStatus
    error: str | None


@dataclass(frozen=True, slots=True)
class BatchOrigin:
    """How a batch's neurons were chosen."""

    title: str = ""
    """The batch in words."""
    filters: str | None = None
    """The query string of the filtered list whose neurons were queued; None if they were named one by one."""


UNNAMED = BatchOrigin()


def insert_batch(
    session: Session,
    *,
    subject_id: int,
    method_id: int,
    account_id: int | None,
    explanation_id: int | None = None,
    origin: BatchOrigin = UNNAMED,
) -> Batch:
    """A new batch without runs. With ``explanation_id`` its runs score that explanation instead of explaining."""
    batch = Batch(
        subject_id=subject_id,
        method_id=method_id,
        account_id=account_id,
        explanation_id=explanation_id,
        n_runs=0,
        title=origin.title,
        filters=origin.filters,
    )
    session.add(batch)
    session.flush()  # its runs need its id
    return batch


def insert_runs(session: Session, *, batch: Batch, selection: NeuronSelection) -> int:
    """One queued run for each selected neuron that has no active run of the batch's method. Returns their number.

    A single statement: no ids are transferred. Neurons are not locked and are read in ascending order of id.
    """
    chosen = select(
        literal(batch.id),
        Neuron.id,
        literal(batch.method_id),
        literal(batch.explanation_id, BigInteger),
        Neuron.current_explanation_id,
    )
    statement = insert(Run).from_select(
        ["batch_id", "neuron_id", "method_id", "explanation_id", "before_explanation_id"],
        chosen.where(*selection.conditions).order_by(Neuron.id),
        include_defaults=False,
    )
    statement = statement.on_conflict_do_nothing(index_elements=["neuron_id", "method_id"], index_where=IS_ACTIVE)
    with selection.planned(session):
        n_runs = session.connection().execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    session.execute(update(Batch).where(Batch.id == batch.id).values(n_runs=n_runs))
    return n_runs


def mark_cancelled(session: Session, *, batch_id: int) -> None:
    """Record that a batch was cancelled."""
    session.execute(update(Batch).where(Batch.id == batch_id).values(cancelled_at=func.now()))


def mark_going_on(session: Session, *, batch_id: int) -> None:
    """Record that a batch that had ended has runs to do again."""
    session.execute(update(Batch).where(Batch.id == batch_id, Batch.ended_at.is_not(None)).values(ended_at=None))


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
