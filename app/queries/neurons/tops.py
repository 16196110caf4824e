"""Activations of neurons on their top excerpts."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select
from sqlalchemy.orm import Session

from app.domain.activations import unpack_activations
from app.domain.arrays import Float32s
from app.domain.samples import SampleKind
from app.models import Sample
from app.queries.neurons.records import excerpt_tokens

_IDS = bindparam("ids", type_=ARRAY(BigInteger))


def top_activations(
    session: Session, *, neuron_ids: Sequence[int], collection_ids: Sequence[int]
) -> Mapping[int, dict[int, Float32s]]:
    """The activations [T] of each neuron's top excerpts in these collections, by neuron and excerpt. Two queries."""
    rows = session.execute(
        select(Sample.neuron_id, Sample.excerpt_ids, Sample.activations).where(
            Sample.neuron_id == func.any(_IDS),
            Sample.collection_id.in_(collection_ids),
            Sample.kind == SampleKind.TOP,
        ),
        {"ids": neuron_ids},
    ).all()
    tokens = excerpt_tokens(session, excerpt_ids={i for row in rows for i in row.excerpt_ids})
    found = {}
    for row in rows:
        unpacked = unpack_activations(row.activations, [len(tokens[i]) for i in row.excerpt_ids])
        found[row.neuron_id] = dict(zip(row.excerpt_ids, unpacked, strict=True))
    return found
