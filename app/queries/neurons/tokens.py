"""The neurons that a token drives, and the correlations of neurons' token tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, and_, func, literal, select, true
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.token_table import TokenTable
from app.models import CollectedNeuron, Collection, Neuron, Subject, VocabularyToken


def driven_by(subject_id: int | None, token: str, *, is_part: bool = False) -> ColumnElement[bool]:
    """Whether a neuron has the token among its strongest in the newest collection.

    The token counts as written or with a space before it; with ``is_part``, any token that contains it counts. Without
    a subject, neurons of any subject.
    """
    tokens = (
        select(func.array_agg(VocabularyToken.token_id).label("ids"))
        .where(VocabularyToken.tokenizer_id == Subject.tokenizer_id, is_token(token, is_part=is_part))
        .correlate(Subject)
        .lateral("wanted_tokens")
    )
    strong = CollectedNeuron.strongest_tokens.bool_op("&&")(tokens.c.ids)
    driven = (
        select(CollectedNeuron.neuron_id)
        .select_from(Subject)
        .join(tokens, true())
        .join(CollectedNeuron, and_(CollectedNeuron.collection_id == Subject.collection_id, strong))
    )
    return Neuron.id.in_(driven if subject_id is None else driven.where(Subject.id == subject_id))


def is_token(text: str, *, is_part: bool) -> ColumnElement[bool]:
    """Whether a token is this text, as written or with a space before it, or, with ``is_part``, contains it."""
    if is_part:
        return func.position(literal(text.encode()).op("IN")(VocabularyToken.bytes)) > 0
    return VocabularyToken.bytes.in_([each.encode() for each in dict.fromkeys((text, f" {text}"))])


MOST_TOKENS = 100
"""Tokens of one search whose neurons are counted at most."""
MOST_DRIVEN = 20_000
"""Neurons that are read at most to count them."""


@dataclass(frozen=True, slots=True)
class DrivingToken:
    """A token, and the number of neurons that have it among their strongest."""

    bytes: bytes
    n_neurons: int


@dataclass(frozen=True, slots=True)
class DrivingTokens:
    """The tokens that contain a text, those of most neurons first."""

    tokens: tuple[DrivingToken, ...]
    is_cut: bool
    """Whether there are more tokens, or more neurons, than were read."""


_DRIVING = sql("""
    WITH wanted AS MATERIALIZED (
        SELECT token_id, bytes FROM vocabulary
        WHERE tokenizer_id = (SELECT tokenizer_id FROM subject WHERE id = :subject_id)
            AND position(CAST(:text AS bytea) IN bytes) > 0
        ORDER BY length(bytes), token_id LIMIT :most_tokens
    ), driven AS MATERIALIZED (
        SELECT strongest_tokens FROM collected_neuron
        WHERE strongest_tokens && (SELECT array_agg(token_id) FROM wanted)
            AND collection_id = (SELECT collection_id FROM subject WHERE id = :subject_id)
        LIMIT :most_driven
    )
    SELECT wanted.bytes, count(found.token_id) AS n_neurons, (SELECT count(*) FROM driven) AS n_driven
    FROM wanted LEFT JOIN (SELECT unnest(strongest_tokens) AS token_id FROM driven) AS found USING (token_id)
    GROUP BY wanted.token_id, wanted.bytes ORDER BY n_neurons DESC, length(wanted.bytes), wanted.token_id
""")


def driving_tokens(session: Session, *, subject_id: int, text: str) -> DrivingTokens:
    """The tokens of a subject's vocabulary that contain a text, with each one's number of neurons. One query."""
    rows = session.execute(
        _DRIVING,
        {
            "subject_id": subject_id,
            "text": text.encode(),
            "most_tokens": MOST_TOKENS,
            "most_driven": MOST_DRIVEN,
        },
    ).all()
    is_cut = len(rows) == MOST_TOKENS or any(row.n_driven == MOST_DRIVEN for row in rows)
    return DrivingTokens(tuple(DrivingToken(bytes(row.bytes), row.n_neurons) for row in rows), is_cut)


def table_correlations(
    session: Session, *, collection_id: int, neuron_ids: Sequence[int]
) -> Iterator[tuple[int, float]]:
    """(neuron id, correlation) of each neuron's token table over the whole corpus, for neurons that have one."""
    rows = session.execute(
        select(CollectedNeuron, Collection.tokens_done)
        .join(Collection, Collection.id == CollectedNeuron.collection_id)
        .where(CollectedNeuron.collection_id == collection_id, CollectedNeuron.neuron_id == func.any(list(neuron_ids)))
    )
    for found, n_tokens in rows:
        if not found.token_ids or found.mean is None or found.variance is None:
            continue
        table = TokenTable.of_corpus(
            np.array(found.token_ids, dtype=np.int32),
            np.array(found.token_means, dtype=np.float64),
            np.array(found.token_counts, dtype=np.int64),
            mean=found.mean,
            n_tokens=n_tokens,
        )
        reached = table.correlation(variance=found.variance)
        if reached is not None:
            yield found.neuron_id, reached
