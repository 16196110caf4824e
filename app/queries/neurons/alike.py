"""Neurons like one, as a search finds them: all that they share together, the most alike first."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.activations import FloatArray
from app.domain.cofiring import cofiring
from app.models import Neuron
from app.queries.neurons.rows import LISTED_COLUMNS, NeuronRow, whole_rows
from app.queries.neurons.similar import MOST_CANDIDATES, neurons_with_text_of, sharing_tokens
from app.queries.neurons.tops import top_activations

MOST_ALIKE = 50


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
        tops = top_activations(
            session,
            neuron_ids=[neuron_id, *tokens, *same_text],
            collection_ids=[collection_id],
            shared_with=neuron_id,
        )
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
