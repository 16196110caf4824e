"""Entries of lists: positions and notes of their neurons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from app.models import ListedNeuron
from app.queries.common.prepared import PreparedSelect, labelled, rows_of


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A neuron of a list."""

    position: int
    """The position in the list, from 1."""
    note: str


@dataclass(frozen=True, slots=True)
class EntryOfNeuron:
    """A neuron's entry in a list."""

    neuron_id: int
    entry: ListEntry


ENTRIES = PreparedSelect(
    EntryOfNeuron,
    select(
        ListedNeuron.neuron_id, *labelled("entry", {"position": ListedNeuron.position, "note": ListedNeuron.note})
    ).where(
        ListedNeuron.list_id == bindparam("list_id", type_=BigInteger),
        ListedNeuron.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))),
    ),
)


def entries_of(session: Session, *, list_id: int, neuron_ids: Sequence[int]) -> Mapping[int, ListEntry]:
    """The entries of these neurons in a list, by the neuron's id; neurons outside of the list are absent. One query."""
    rows = rows_of(session, ENTRIES.given(list_id=list_id, neuron_ids=list(neuron_ids)))
    return {row.neuron_id: row.entry for row in rows}
