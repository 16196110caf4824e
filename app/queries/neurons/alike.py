"""Neurons like one, as a search finds them: all that they share together, the most alike first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select
from sqlalchemy.orm import Session

from app.domain.activations import FloatArray, unpack_activations
from app.domain.cofiring import cofiring
from app.domain.samples import SampleKind
from app.models import Neuron, Sample
from app.queries.neurons.records import excerpt_tokens
from app.queries.neurons.rows import LISTED_COLUMNS, NeuronRow, whole_rows
from app.queries.neurons.similar import MOST_CANDIDATES, neurons_with_text_of, sharing_tokens

MOST_ALIKE = 50
_IDS = bindparam("ids", type_=ARRAY(BigInteger))


@dataclass(frozen=True, slots=True)
class AlikeNeuron:
    """A neuron with what it has in common with another."""

    neuron: NeuronRow
    has_same_text: bool
    n_tokens: int
    """Strongest tokens of both."""
    n_excerpts: int
    """Top excerpts of both."""
    cofiring: float | None
    """See ``app.domain.cofiring``."""


@dataclass(frozen=True, slots=True)
class AlikeNeurons:
    """Neurons of the same subject that are like one, at most ``MOST_ALIKE``."""

    rows: tuple[AlikeNeuron, ...]
    n_tokens: int
    """Strongest tokens of the neuron itself."""
    n_excerpts: int
    """Its top excerpts."""


def alike_neurons(session: Session, *, neuron_id: int, collection_id: int | None) -> AlikeNeurons:
    """What is like a neuron in a collection: by shared top excerpts, then co-firing, then tokens, then text.

    Excerpts are compared among the ``MOST_CANDIDATES`` neurons that share the most strongest tokens and those of the
    same text. At most nine queries.
    """
    same_text = neurons_with_text_of(session, neuron_id, limit=MOST_ALIKE)
    tokens: dict[int, int] = {}
    n_tokens = 0
    tops: Mapping[int, dict[int, FloatArray]] = {}
    if collection_id is not None:
        n_tokens, tokens = sharing_tokens(session, neuron_id, collection_id, most=MOST_CANDIDATES)
        tops = _tops(session, collection_id, neuron_id, [*tokens, *same_text])
    own = tops.get(neuron_id, {})
    shared = {i: len(own.keys() & tops.get(i, {}).keys()) for i in {*tokens, *same_text}}
    together = {i: cofiring(own, tops[i]) for i, n in shared.items() if n}
    ranked = sorted(
        shared, key=lambda i: (-shared[i], -(together.get(i) or 0.0), -tokens.get(i, 0), i not in same_text, i)
    )[:MOST_ALIKE]
    found = session.execute(select(*LISTED_COLUMNS).where(Neuron.id == func.any(ranked))).all()
    rows = {row.id: row for row in whole_rows(session, found, words=None)}
    return AlikeNeurons(
        tuple(
            AlikeNeuron(rows[i], i in same_text, tokens.get(i, 0), shared[i], together.get(i))
            for i in ranked
            if i in rows
        ),
        n_tokens,
        len(own),
    )


def _tops(
    session: Session, collection_id: int, neuron_id: int, others: Sequence[int]
) -> Mapping[int, dict[int, FloatArray]]:
    """The activations of the neuron's top excerpts, and those of the others that share one, by neuron and excerpt."""
    rows = session.execute(
        select(Sample.neuron_id, Sample.excerpt_ids, Sample.activations).where(
            Sample.neuron_id == func.any(_IDS), Sample.collection_id == collection_id, Sample.kind == SampleKind.TOP
        ),
        {"ids": [neuron_id, *others]},
    ).all()
    own = next((set(row.excerpt_ids) for row in rows if row.neuron_id == neuron_id), set())
    alike = [row for row in rows if own & set(row.excerpt_ids)]
    tokens = excerpt_tokens(session, excerpt_ids={i for row in alike for i in row.excerpt_ids})
    found = {}
    for row in alike:
        unpacked = unpack_activations(row.activations, [len(tokens[i]) for i in row.excerpt_ids])
        found[row.neuron_id] = {i: each for i, each in zip(row.excerpt_ids, unpacked, strict=True) if i in own}
    return found
