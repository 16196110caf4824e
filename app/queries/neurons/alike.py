"""Neurons similar to a given one by all measures of similarity together, the most similar first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, aliased

from app.domain.activations import unpack_activations
from app.domain.arrays import Float32s
from app.domain.cofiring import cofiring
from app.domain.samples import SampleKind
from app.models import Excerpt, Neuron, Sample
from app.queries.neurons.rows import LISTED_COLUMNS, NeuronRow, whole_rows
from app.queries.neurons.similar import candidates_like

MOST_ALIKE = 50


@dataclass(frozen=True, slots=True)
class AlikeNeuron:
    """A neuron with what it has in common with the given one."""

    neuron: NeuronRow
    has_same_text: bool
    n_tokens: int
    """Number of strongest tokens that both have."""
    n_excerpts: int
    """Number of top excerpts that both have."""
    cofiring: float | None
    """Correlation of both neurons' activations; see ``app.domain.cofiring``."""


@dataclass(frozen=True, slots=True)
class AlikeNeurons:
    """Neurons of the same subject that are similar to a given one, at most ``MOST_ALIKE``."""

    rows: tuple[AlikeNeuron, ...]
    n_tokens: int
    """Number of strongest tokens of the given neuron."""
    n_excerpts: int
    """Number of top excerpts of the given neuron."""


def alike_neurons(session: Session, *, neuron_id: int, collection_id: int | None) -> AlikeNeurons:
    """Neurons similar to one in a collection: by shared top excerpts, then co-firing, then tokens, then text.

    Excerpts are compared only for the ``MOST_CANDIDATES`` neurons that share the most strongest tokens, and for those
    with the same text. Three queries.
    """
    candidates = candidates_like(session, neuron_id=neuron_id, collection_id=collection_id, most_of_text=MOST_ALIKE)
    same_text, tokens = {row.id for row in candidates.same_text}, candidates.sharing
    found = _with_tops(session, neuron_id, collection_id, [*tokens, *same_text])
    tops = {row.id: _activations(row) for row in found if row.excerpt_ids is not None}
    own = tops.get(neuron_id, {})
    shared = {i: len(own.keys() & tops.get(i, {}).keys()) for i in {*tokens, *same_text}}
    together = {i: cofiring(own, tops[i]) for i, n in shared.items() if n}
    ranked = sorted(
        shared, key=lambda i: (-shared[i], -(together.get(i) or 0.0), -tokens.get(i, 0), i not in same_text, i)
    )[:MOST_ALIKE]
    listed = {row.id: row for row in found}
    rows = whole_rows(session, [listed[i] for i in ranked if i in listed])
    return AlikeNeurons(
        tuple(
            AlikeNeuron(row, row.id in same_text, tokens.get(row.id, 0), shared[row.id], together.get(row.id))
            for row in rows
        ),
        candidates.n_tokens,
        len(own),
    )


def _with_tops(session: Session, neuron_id: int, collection_id: int | None, others: Sequence[int]) -> Sequence[Any]:
    """The rows of the neuron and of others, with the top excerpts of those that share one with it. One query."""
    top = and_(Sample.collection_id == collection_id, Sample.kind == SampleKind.TOP)
    mine = aliased(Sample)
    own = select(mine.excerpt_ids).where(
        mine.neuron_id == neuron_id, mine.collection_id == collection_id, mine.kind == SampleKind.TOP
    )
    excerpt = func.unnest(Sample.excerpt_ids).table_valued("id", with_ordinality="number").render_derived()
    lengths = (
        select(func.array_agg(aggregate_order_by(Excerpt.length, excerpt.c.number)))
        .select_from(excerpt)
        .join(Excerpt, Excerpt.id == excerpt.c.id)
        .correlate(Sample)
        .scalar_subquery()
    )
    shares = Sample.excerpt_ids.op("&&", is_comparison=True)(own.scalar_subquery())
    ids = bindparam("ids", [neuron_id, *others], type_=ARRAY(BigInteger))
    return session.execute(
        select(*LISTED_COLUMNS, Sample.excerpt_ids, Sample.activations, lengths.label("lengths"))
        .select_from(Neuron)
        .outerjoin(Sample, and_(Sample.neuron_id == Neuron.id, top, shares))
        .where(Neuron.id == func.any(ids))
    ).all()


def _activations(row: Any) -> dict[int, Float32s]:
    """The activations [T] of each of the neuron's top excerpts."""
    return dict(zip(row.excerpt_ids, unpack_activations(row.activations, row.lengths), strict=True))
