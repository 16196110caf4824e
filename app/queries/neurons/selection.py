"""Neurons selected by a person, by filters or one by one. Their ids stay in the database."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID
from app.errors import NotFound
from app.models import Neuron, Run
from app.queries.neurons.filters import EVERY_NEURON, NeuronFilter, filter_conditions, planned_by_value
from app.queries.runs.active import is_active


@dataclass(frozen=True, slots=True)
class NeuronSelection:
    """Selected neurons of one subject: all that match a filter, or the named ones."""

    subject_id: int
    filter: NeuronFilter = EVERY_NEURON
    neuron_ids: frozenset[int] | None = None
    """The named neurons; if given, the filter is ignored."""

    @classmethod
    def of(cls, subject_id: int, neuron_ids: Sequence[int]) -> "NeuronSelection":
        """The neurons with these ids, each once."""
        return cls(subject_id, neuron_ids=frozenset(neuron_ids))

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL conditions of the selected neurons."""
        if self.neuron_ids is None:
            return filter_conditions(self.subject_id, self.filter)
        possible = sorted(number for number in self.neuron_ids if 0 < number <= BIGGEST_ID)
        return [Neuron.subject_id == self.subject_id, Neuron.id == func.any(possible)]

    def planned(self, session: Session) -> AbstractContextManager[None]:
        """Context manager within which a statement with these conditions is planned."""
        return planned_by_value(session, self.filter) if self.neuron_ids is None else nullcontext()


def count_selected(session: Session, *, selection: NeuronSelection) -> int:
    """The number of selected neurons. Raises NotFound if a named one is no neuron of the subject."""
    with selection.planned(session):
        n = session.scalars(select(func.count()).select_from(Neuron).where(*selection.conditions)).one()
    n_named = n if selection.neuron_ids is None else len(selection.neuron_ids)
    if n < n_named:
        raise NotFound(
            f"{n_named - n:,} of the {n_named:,} chosen neurons are not neurons of this subject. Choose them again from"
            " the list."
        )
    return n


def n_with_active_run(session: Session, *, selection: NeuronSelection, method_id: int) -> int:
    """The number of selected neurons that already have a queued or running run of this method."""
    active = select(func.count()).select_from(Run).join(Neuron, Neuron.id == Run.neuron_id)
    with selection.planned(session):
        return session.scalars(active.where(is_active(), Run.method_id == method_id, *selection.conditions)).one()
