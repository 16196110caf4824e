"""Stored activation records and vocabularies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, unpack_activations
from app.domain.tokens import Vocabulary
from app.errors import NotFound
from app.models import Excerpt, Neuron, Sample, Subject, Tokenizer, VocabularyToken
from app.queries.common.prepared import Columns, rows_of

# Statements are built once: building them costs more than running them. Arrays, not IN: the same statement whatever
# the number of ids, so that it stays prepared.
_EXCERPTS = Columns(
    select(Excerpt.id, Excerpt.token_ids).where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger))))
)
_SAMPLES = Columns(
    select(Sample.neuron_id, Sample.kind, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))),
        Sample.collection_id == bindparam("collection_id"),
    )
)


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
    (rows,) = rows_of(session, _EXCERPTS.given(excerpt_ids=sorted(set(excerpt_ids))))
    return {row[0]: row[1] for row in rows}


def neuron_records(session: Session, *, neuron_id: int, collection_id: int | None = None) -> NeuronRecords:
    """All samples of a neuron, by default of the subject's newest complete collection.

    Three queries, whatever the number of records. Raises NotFound for an unknown neuron.
    """
    row = session.execute(
        select(Neuron.max, Subject.collection_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Neuron.id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("There is no such neuron.")
    if collection_id is None:
        collection_id = row.collection_id
    samples = _samples(session, [neuron_id], collection_id)
    return NeuronRecords(samples.get(neuron_id, {}), maximum=row.max if row.max is not None else 0.0)


def records_of_neurons(
    session: Session, *, maxima: Mapping[int, float | None], collection_id: int | None
) -> dict[int, NeuronRecords]:
    """All samples of several neurons in two queries. ``maxima`` holds each neuron's maximum by its id."""
    samples = _samples(session, list(maxima), collection_id)
    return {
        neuron_id: NeuronRecords(samples.get(neuron_id, {}), maximum=maximum if maximum is not None else 0.0)
        for neuron_id, maximum in maxima.items()
    }


_Samples: TypeAlias = dict[SampleKind, tuple[ActivationRecord, ...]]


def _samples(session: Session, neuron_ids: Sequence[int], collection_id: int | None) -> dict[int, _Samples]:
    (rows,) = rows_of(session, _SAMPLES.given(neuron_ids=list(neuron_ids), collection_id=collection_id))
    ids = excerpt_tokens(session, excerpt_ids=(i for _, _, excerpt_ids, _ in rows for i in excerpt_ids))
    tokens = {excerpt_id: np.array(token_ids, dtype=np.int32) for excerpt_id, token_ids in ids.items()}
    found: dict[int, _Samples] = defaultdict(dict)
    for neuron_id, kind, excerpt_ids, packed in rows:
        activations = unpack_activations(packed, [len(tokens[i]) for i in excerpt_ids])
        found[neuron_id][SampleKind(kind)] = tuple(
            ActivationRecord(i, tokens[i], values) for i, values in zip(excerpt_ids, activations, strict=True)
        )
    return found
