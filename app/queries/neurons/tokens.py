"""The neurons that a token drives, and what neurons' token tables reach."""

from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain.token_table import TokenTable
from app.models import CollectedNeuron, Collection, Neuron, Subject, VocabularyToken


def driven_by(subject_id: int, token: str) -> ColumnElement[bool]:
    """Whether a neuron has the token, as written or after a space, among its strongest in the newest collection."""
    variants = [text.encode() for text in dict.fromkeys((token, f" {token}"))]
    token_ids = (
        select(func.array_agg(VocabularyToken.token_id))
        .join(Subject, Subject.tokenizer_id == VocabularyToken.tokenizer_id)
        .where(Subject.id == subject_id, VocabularyToken.bytes.in_(variants))
        .scalar_subquery()
    )
    driven = (
        select(CollectedNeuron.neuron_id)
        .join(Subject, Subject.collection_id == CollectedNeuron.collection_id)
        .where(Subject.id == subject_id, CollectedNeuron.strongest_tokens.bool_op("&&")(token_ids))
    )
    return Neuron.id.in_(driven)


def table_correlations(
    session: Session, *, collection_id: int, neuron_ids: Sequence[int]
) -> Iterator[tuple[int, float]]:
    """(neuron id, correlation) of what each neuron's token table reaches over the whole corpus, where it has one."""
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
