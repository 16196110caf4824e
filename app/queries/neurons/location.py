"""Where a neuron stands, and its peers: what a worker asks before it reads the records."""

from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.domain.sites import Site
from app.errors import NotFound
from app.models import Neuron, Subject
from app.queries.common.prepared import Columns, rows_of


@dataclass(frozen=True, slots=True)
class NeuronPlace:
    """A neuron's address, with its subject's tokenizer and newest complete collection."""

    neuron_id: int
    subject_id: int
    subject: str
    layer: int
    index: int
    neurons_per_layer: int
    tokenizer_id: int
    collection_id: int | None
    maximum: float | None
    site: Site


@dataclass(frozen=True, slots=True)
class Peer:
    """Another neuron of the same layer, with its maximum."""

    neuron_id: int
    maximum: float | None


# Statements are built once: building them costs more than running them.
_PLACE = Columns(
    select(
        Neuron.id,
        Subject.id,
        Subject.slug,
        Neuron.layer,
        Neuron.index,
        Subject.neurons_per_layer,
        Subject.tokenizer_id,
        Subject.collection_id,
        Neuron.max,
        Subject.site,
    )
    .join(Subject, Subject.id == Neuron.subject_id)
    .where(Neuron.id == bindparam("neuron_id"))
)
_PEER = Columns(
    select(Neuron.id, Neuron.max)
    .where(
        Neuron.subject_id == bindparam("subject_id"),
        Neuron.layer == bindparam("layer"),
        Neuron.index != bindparam("index"),
        Neuron.index >= bindparam("start"),
        Neuron.max > 0,
    )
    .order_by(Neuron.index)
    .limit(1)
)


def neuron_place(session: Session, *, neuron_id: int) -> NeuronPlace:
    """Where a neuron stands. Raises NotFound."""
    (rows,) = rows_of(session, _PLACE.given(neuron_id=neuron_id))
    if not rows:
        raise NotFound("There is no such neuron.")
    *columns, site = rows[0]
    return NeuronPlace(*(*columns, Site.from_json(site)))


def neuron_peer(session: Session, *, place: NeuronPlace, start: int) -> Peer | None:
    """Another neuron of the same layer that fires: the first from index ``start`` on, round the layer's end.

    None where no other fires.
    """
    of_layer = {"subject_id": place.subject_id, "layer": place.layer, "index": place.index}
    for first in (start, 0):
        (rows,) = rows_of(session, _PEER.given(start=first, **of_layer))
        if rows:
            return Peer(*rows[0])
    return None
