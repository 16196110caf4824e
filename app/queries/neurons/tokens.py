"""A neuron's strongest tokens, and the neurons that a token drives."""

from dataclasses import dataclass

from sqlalchemy import ARRAY, Integer, cast, func, select
from sqlalchemy.orm import Session

from app.domain.token_table import STRONGEST_TOKENS
from app.models import CollectedNeuron, Neuron


@dataclass(frozen=True, slots=True)
class TokenHit:
    """A neuron that fires on a token, with the token's mean activation and its occurrences in the corpus.

    ``rank`` counts from 0, the token with the neuron's highest mean.
    """

    neuron_id: int
    layer: int
    index: int
    rank: int
    mean: float
    count: int
    maximum: float | None


def strongest_tokens(
    session: Session, *, neuron_id: int, collection_id: int | None
) -> tuple[tuple[int, float, int], ...]:
    """(token id, mean activation, count) of a neuron's strongest tokens, highest mean first; empty where unknown."""
    n = STRONGEST_TOKENS
    row = session.execute(
        select(
            CollectedNeuron.token_ids[1:n], CollectedNeuron.token_means[1:n], CollectedNeuron.token_counts[1:n]
        ).where(CollectedNeuron.neuron_id == neuron_id, CollectedNeuron.collection_id == collection_id)
    ).first()
    return () if row is None else tuple(zip(*row, strict=True))


def neurons_by_token(session: Session, *, collection_id: int, token_id: int, limit: int) -> tuple[TokenHit, ...]:
    """The neurons that have a token among their strongest, those for which it is strongest first.

    Of equal rank the one whose mean is the larger share of its maximum comes first.
    """
    # Containment, not ANY, which cannot use the index.
    holds = CollectedNeuron.strongest_tokens.bool_op("@>")(cast([token_id], ARRAY(Integer)))
    position = func.array_position(CollectedNeuron.strongest_tokens, token_id)
    mean = CollectedNeuron.token_means[position]
    rows = session.execute(
        select(
            Neuron.id,
            Neuron.layer,
            Neuron.index,
            (position - 1).label("rank"),
            mean.label("mean"),
            CollectedNeuron.token_counts[position].label("count"),
            CollectedNeuron.max,
        )
        .join(Neuron, Neuron.id == CollectedNeuron.neuron_id)
        .where(CollectedNeuron.collection_id == collection_id, holds)
        .order_by(position, (mean / func.nullif(CollectedNeuron.max, 0)).desc().nulls_last(), Neuron.id)
        .limit(limit)
    )
    return tuple(TokenHit(*row) for row in rows)
