"""What neurons do on their top excerpts."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select
from sqlalchemy.orm import Session

from app.domain.activations import FloatArray, unpack_activations
from app.domain.samples import SampleKind
from app.models import Sample
from app.queries.neurons.records import excerpt_tokens

_IDS = bindparam("ids", type_=ARRAY(BigInteger))


def top_activations(
    session: Session, *, neuron_ids: Sequence[int], collection_ids: Sequence[int], shared_with: int | None = None
) -> Mapping[int, dict[int, FloatArray]]:
    """The activations [T] of each neuron's top excerpts in these collections, by neuron and excerpt. Two queries.

    With ``shared_with``, only excerpts that this one of the neurons has, and only neurons with any of them.
    """
    rows = session.execute(
        select(Sample.neuron_id, Sample.excerpt_ids, Sample.activations).where(
            Sample.neuron_id == func.any(_IDS),
            Sample.collection_id.in_(collection_ids),
            Sample.kind == SampleKind.TOP,
        ),
        {"ids": neuron_ids},
    ).all()
    wanted = {i for row in rows if shared_with in (None, row.neuron_id) for i in row.excerpt_ids}
    rows = [row for row in rows if wanted & set(row.excerpt_ids)]
    tokens = excerpt_tokens(session, excerpt_ids={i for row in rows for i in row.excerpt_ids})
    found = {}
    for row in rows:
        unpacked = unpack_activations(row.activations, [len(tokens[i]) for i in row.excerpt_ids])
        found[row.neuron_id] = {i: each for i, each in zip(row.excerpt_ids, unpacked, strict=True) if i in wanted}
    return found
