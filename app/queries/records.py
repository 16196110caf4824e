"""Stored activation records and vocabularies."""

from collections.abc import Iterable

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, unpack_activations
from app.domain.tokens import Vocabulary
from app.errors import NotFound
from app.models import Excerpt, Neuron, Sample, Subject, Tokenizer, VocabularyToken


def vocabulary(session: Session, *, tokenizer_id: int) -> Vocabulary:
    """All tokens of a tokenizer. Raises NotFound. Large: callers keep it in memory."""
    tokenizer = session.get(Tokenizer, tokenizer_id)
    if tokenizer is None:
        raise NotFound("There is no such tokenizer.")
    rows = session.execute(
        select(VocabularyToken.token_id, VocabularyToken.bytes)
        .where(VocabularyToken.tokenizer_id == tokenizer_id)
        .order_by(VocabularyToken.token_id)
    ).all()
    tokens = [b""] * (rows[-1].token_id + 1 if rows else 0)
    for row in rows:
        tokens[row.token_id] = row.bytes
    return Vocabulary(tokenizer.digest, tuple(tokens))


def excerpt_tokens(session: Session, *, excerpt_ids: Iterable[int]) -> dict[int, list[int]]:
    """Token ids of each excerpt, by excerpt id."""
    ids = sorted(set(excerpt_ids))
    rows = session.execute(select(Excerpt.id, Excerpt.token_ids).where(Excerpt.id.in_(ids)))
    return {row.id: row.token_ids for row in rows}


def neuron_records(session: Session, *, neuron_id: int, collection_id: int | None = None) -> NeuronRecords:
    """All samples of a neuron, by default of the subject's newest complete collection.

    Two queries, whatever the number of records. Raises NotFound for an unknown neuron.
    """
    neuron = session.get(Neuron, neuron_id)
    if neuron is None:
        raise NotFound("There is no such neuron.")
    if collection_id is None:
        collection_id = session.scalar(select(Subject.collection_id).where(Subject.id == neuron.subject_id))
    samples = session.scalars(
        select(Sample).where(Sample.neuron_id == neuron_id, Sample.collection_id == collection_id)
    ).all()
    tokens = excerpt_tokens(session, excerpt_ids=(i for s in samples for i in s.excerpt_ids))
    return NeuronRecords(
        {SampleKind(sample.kind): _records(sample, tokens) for sample in samples},
        maximum=neuron.max if neuron.max is not None else 0.0,
        mean=neuron.mean,
    )


def _records(sample: Sample, tokens: dict[int, list[int]]) -> tuple[ActivationRecord, ...]:
    lengths = [len(tokens[i]) for i in sample.excerpt_ids]
    rows = unpack_activations(sample.activations, lengths)
    return tuple(
        ActivationRecord(excerpt_id, np.array(tokens[excerpt_id], dtype=np.int32), row)
        for excerpt_id, row in zip(sample.excerpt_ids, rows, strict=True)
    )
