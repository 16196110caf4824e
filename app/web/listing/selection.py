"""Neurons that a list's form has chosen: one by one, or by the list's filters."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from app.errors import Invalid
from app.queries.neurons.selection import NeuronSelection
from app.queries.subjects.lookup import SubjectHead
from app.web.listing.filters import ListRequest
from app.web.listing.sent_filters import ListFilters


@dataclass(frozen=True, slots=True)
class Selection:
    """Neurons chosen one by one, or by the list's filters."""

    neuron_ids: tuple[int, ...]
    request: ListRequest

    def of(self, subject: SubjectHead) -> NeuronSelection:
        """The neurons of this subject."""
        if self.neuron_ids:
            return NeuronSelection.of(subject.id, self.neuron_ids)
        return NeuronSelection(subject.id, self.request.filter)


async def asked_selection(
    filters: ListFilters,
    neuron: Annotated[list[int] | None, Query(description="Ids of chosen neurons")] = None,
    everything: Annotated[bool, Query(alias="all", description="All that match the filters")] = False,
) -> Selection:
    """The neurons chosen in the list's form. Raises Invalid if none was chosen."""
    if not everything and not neuron:
        raise Invalid("Nothing is selected. Tick neurons in the list, or the box for all that match.")
    return Selection(() if everything else tuple(neuron or ()), filters)
