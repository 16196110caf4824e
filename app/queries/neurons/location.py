"""A neuron's address, statistics and peer: what a worker needs before reading the neuron's records."""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, or_, select, text
from sqlalchemy.orm import Session

from app.domain.sites import Site
from app.errors import NotFound
from app.models import Neuron, Subject
from app.queries.common.prepared import PreparedSelect, rows_of
from app.queries.neurons.records import MeasuredNeuron, has_records


@dataclass(frozen=True, slots=True)
class NeuronAddress:
    """A neuron's layer and index, its subject's tokenizer and newest complete collection, its maximum and mean."""

    neuron_id: int
    subject_id: int
    subject: str
    layer: int
    index: int
    neurons_per_layer: int
    tokenizer_id: int
    collection_id: int | None
    maximum: float | None
    mean: float | None
    site: Site

    @property
    def measured(self) -> MeasuredNeuron:
        """The neuron with its statistics only."""
        return MeasuredNeuron(self.neuron_id, self.maximum, self.mean)


# Built once at import: building these statements takes longer than executing them.
_ADDRESS = PreparedSelect(
    NeuronAddress,
    select(
        Neuron.id.label("neuron_id"),
        Neuron.subject_id,
        Subject.slug.label("subject"),
        Neuron.layer,
        Neuron.index,
        Subject.neurons_per_layer,
        Subject.tokenizer_id,
        Subject.collection_id,
        Neuron.max.label("maximum"),
        Neuron.mean,
        Subject.site,
    )
    .join(Subject, Subject.id == Neuron.subject_id)
    .where(Neuron.id == bindparam("neuron_id")),
)
_PEER = PreparedSelect(
    MeasuredNeuron,
    select(Neuron.id.label("neuron_id"), Neuron.max.label("maximum"), Neuron.mean)
    .where(
        Neuron.subject_id == bindparam("subject_id"),
        Neuron.layer == bindparam("layer"),
        Neuron.index != bindparam("index"),
        Neuron.index >= bindparam("start"),
        # An imported neuron may have no maximum: it can be a peer if it has records.
        or_(Neuron.max > 0, and_(Neuron.max.is_(None), has_records(Neuron, bindparam("collection_id")))),
    )
    .order_by(Neuron.index)
    .limit(1),
)

_NEAREST = text("""
    SELECT other.id AS neuron_id, other.max AS maximum, other.mean
    FROM collected_neuron AS own, unnest(own.nearest) WITH ORDINALITY AS near (index, rank)
    JOIN neuron AS other ON other.subject_id = :subject_id AND other.layer = :layer AND other.index = near.index
    WHERE own.neuron_id = :neuron_id AND own.collection_id = :collection_id
        AND EXISTS (SELECT FROM sample WHERE neuron_id = other.id AND collection_id = own.collection_id)
    ORDER BY near.rank
    LIMIT :n
""")
_SHARING = text("""
    SELECT other.id AS neuron_id, other.max AS maximum, other.mean
    FROM collected_neuron AS own
    JOIN collected_neuron AS theirs ON theirs.collection_id = own.collection_id
        AND theirs.strongest_tokens && own.strongest_tokens
    JOIN neuron AS other ON other.id = theirs.neuron_id
    WHERE own.neuron_id = :neuron_id AND own.collection_id = :collection_id AND own.nearest IS NULL
        AND other.subject_id = :subject_id AND other.layer = :layer AND other.id <> :neuron_id
        AND EXISTS (SELECT FROM sample WHERE neuron_id = other.id AND collection_id = own.collection_id)
    ORDER BY cardinality(ARRAY(
        SELECT unnest(theirs.strongest_tokens) INTERSECT SELECT unnest(own.strongest_tokens)
    )) DESC, other.index
    LIMIT :n
""")


def neuron_address(session: Session, *, neuron_id: int) -> NeuronAddress:
    """The address of a neuron. Raises NotFound."""
    rows = rows_of(session, _ADDRESS.given(neuron_id=neuron_id))
    if not rows:
        raise NotFound("There is no such neuron.")
    return rows[0]


def neuron_peer(session: Session, *, of: NeuronAddress, start: int) -> MeasuredNeuron | None:
    """Another neuron of the same layer that may fire: the first from index ``start`` on, then from index 0 on.

    None if no other neuron does.
    """
    of_layer = {
        "subject_id": of.subject_id,
        "layer": of.layer,
        "index": of.index,
        "collection_id": of.collection_id,
    }
    for first in (start, 0):
        rows = rows_of(session, _PEER.given(start=first, **of_layer))
        if rows:
            return rows[0]
    return None


def nearest_neurons(session: Session, *, of: NeuronAddress, n: int) -> list[MeasuredNeuron]:
    """The ``n`` neurons of the same layer that are most similar by co-firing and input weights, most similar first.

    If the collection did not measure that, the neurons that share most of its strongest tokens. Only neurons with
    records; fewer if fewer are similar, none if no collection has counted tokens. Two queries at most.
    """
    parameters = {
        "neuron_id": of.neuron_id,
        "collection_id": of.collection_id,
        "subject_id": of.subject_id,
        "layer": of.layer,
        "n": n,
    }
    rows = session.execute(_NEAREST, parameters).all() or session.execute(_SHARING, parameters).all()
    return [MeasuredNeuron(row.neuron_id, row.maximum, row.mean) for row in rows]
