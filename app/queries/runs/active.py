"""Active runs, and runs that found nothing. They are looked up when needed, through partial indexes."""

from dataclasses import dataclass

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    ScalarSelect,
    any_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from app.domain.work import ACTIVE, WorkStatus
from app.models import Neuron, Run
from app.queries.common.prepared import PreparedSelect


def is_active() -> ColumnElement[bool]:
    """Whether a run is queued or running.

    The statuses are literals in the statement, so that the planner can use the partial index.
    """
    return Run.status.in_([literal_column(repr(str(status))) for status in ACTIVE])


def found_nothing() -> ColumnElement[bool]:
    """Whether a run found nothing worth saying."""
    return Run.status == literal_column(repr(str(WorkStatus.NO_EXPLANATION)))


def has_found_nothing() -> ColumnElement[bool]:
    """Whether a run of the enclosing statement's neuron found nothing worth saying."""
    return exists().where(Run.neuron_id == Neuron.id, found_nothing()).correlate(Neuron)


@dataclass(frozen=True, slots=True)
class UnexplainedOfSubject:
    """The number of a subject's unexplained neurons of which a run found nothing worth saying."""

    subject_id: int
    n: int


WITHOUT_EXPLANATION = PreparedSelect(
    UnexplainedOfSubject,
    select(Neuron.subject_id, func.count(Neuron.id.distinct()).label("n"))
    .join(Run, Run.neuron_id == Neuron.id)
    .where(found_nothing(), Neuron.current_explanation_id.is_(None))
    .group_by(Neuron.subject_id),
)


def n_active_runs() -> ScalarSelect[int]:
    """The number of active runs of the enclosing statement's neuron."""
    return select(func.count()).where(Run.neuron_id == Neuron.id, is_active()).correlate(Neuron).scalar_subquery()


@dataclass(frozen=True, slots=True)
class RunsOfNeuron:
    """The number of a neuron's active runs, and whether one found nothing worth saying."""

    neuron_id: int
    n_active: int
    found_nothing: bool


RUNS_OF_NEURONS = PreparedSelect(
    RunsOfNeuron,
    select(
        Run.neuron_id,
        func.count().filter(is_active()).label("n_active"),
        func.bool_or(found_nothing()).label("found_nothing"),
    )
    .where(or_(is_active(), found_nothing()), Run.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))))
    .group_by(Run.neuron_id),
)
"""The ``RunsOfNeuron`` of these neurons; neurons with neither are absent."""
