"""Runs that are queued or running: read from the runs, which have an index of them, wherever somebody asks."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, ScalarSelect, func, literal_column, select
from sqlalchemy.orm import Session

from app.models import Neuron, Run


def is_active() -> ColumnElement[bool]:
    """Written into the statement, so that the planner sees that the partial index fits."""
    return Run.status.in_([literal_column("'queued'"), literal_column("'running'")])


def n_active_runs() -> ScalarSelect[int]:
    """How many runs of the neuron of the enclosing statement are active."""
    return select(func.count()).where(Run.neuron_id == Neuron.id, is_active()).correlate(Neuron).scalar_subquery()


def active_runs(session: Session, *, neuron_ids: Sequence[int]) -> dict[int, int]:
    """How many active runs each neuron has, where it has any. One query."""
    statement = select(Run.neuron_id, func.count()).where(is_active(), Run.neuron_id == func.any(list(neuron_ids)))
    return {row[0]: row[1] for row in session.execute(statement.group_by(Run.neuron_id))}
