"""Runs that are queued or running. They are counted when needed: a partial index holds them."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, ScalarSelect, func, literal_column, select
from sqlalchemy.orm import Session

from app.domain.work import ACTIVE
from app.models import Neuron, Run


def is_active() -> ColumnElement[bool]:
    """Whether a run is queued or running.

    The states are literals in the statement, so that the planner sees that the partial index fits.
    """
    return Run.status.in_([literal_column(repr(str(status))) for status in ACTIVE])


def n_active_runs() -> ScalarSelect[int]:
    """The number of active runs of the neuron of the enclosing statement."""
    return select(func.count()).where(Run.neuron_id == Neuron.id, is_active()).correlate(Neuron).scalar_subquery()


def active_runs(session: Session, *, neuron_ids: Sequence[int]) -> dict[int, int]:
    """The number of active runs of each neuron that has any. One query."""
    statement = select(Run.neuron_id, func.count()).where(is_active(), Run.neuron_id == func.any(list(neuron_ids)))
    return {row[0]: row[1] for row in session.execute(statement.group_by(Run.neuron_id))}
