"""Where a neuron stands, and its peers: what a worker asks before it reads the records."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Neuron, Subject


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


@dataclass(frozen=True, slots=True)
class Peer:
    """Another neuron of the same layer, with its maximum."""

    neuron_id: int
    maximum: float | None


def neuron_place(session: Session, *, neuron_id: int) -> NeuronPlace:
    """Where a neuron stands. Raises NotFound."""
    row = session.execute(
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
        )
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Neuron.id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("There is no such neuron.")
    return NeuronPlace(*row)


def neuron_peer(session: Session, *, place: NeuronPlace, start: int) -> Peer | None:
    """Another neuron of the same layer that fires: the first from index ``start`` on, round the layer's end.

    None where no other fires.
    """
    others = (
        select(Neuron.id, Neuron.max)
        .where(
            Neuron.subject_id == place.subject_id,
            Neuron.layer == place.layer,
            Neuron.index != place.index,
            Neuron.max > 0,
        )
        .order_by(Neuron.index)
        .limit(1)
    )
    row = session.execute(others.where(Neuron.index >= start)).first() or session.execute(others).first()
    return None if row is None else Peer(*row)
