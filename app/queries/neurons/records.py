"""Stored activation records and vocabularies."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, bindparam, exists, select
from sqlalchemy.orm import Session

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, unpack_activations
from app.domain.tokens import Vocabulary
from app.errors import NotFound
from app.models import Excerpt, Neuron, Sample, Subject, Tokenizer, VocabularyToken
from app.queries.common.prepared import PreparedSelect, rows_of


@dataclass(frozen=True, slots=True)
class MeasuredNeuron:
    """A neuron with its maximum and mean over every token of the corpus; None where an import does not know them."""

    neuron_id: int
    maximum: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class _ExcerptTokens:
    id: int
    token_ids: list[int]


@dataclass(frozen=True, slots=True)
class _Sample:
    neuron_id: int
    kind: SampleKind
    excerpt_ids: list[int]
    activations: bytes


# Statements are built once: building them costs more than running them. Arrays, not IN: the same statement whatever
# the number of ids, so that it stays prepared.
_EXCERPTS = PreparedSelect(
    _ExcerptTokens,
    select(Excerpt.id, Excerpt.token_ids).where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger)))),
)
_SAMPLES = PreparedSelect(
    _Sample,
    select(Sample.neuron_id, Sample.kind, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))),
        Sample.collection_id == bindparam("collection_id"),
    ),
)


def has_records(neuron: Any, collection_id: Any) -> ColumnElement[bool]:
    """Whether a neuron, a table or an alias of the enclosing statement, has records in the collection of this id."""
    return exists().where(Sample.neuron_id == neuron.id, Sample.collection_id == collection_id)


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
    rows = rows_of(session, _EXCERPTS.given(excerpt_ids=sorted(set(excerpt_ids))))
    return {row.id: row.token_ids for row in rows}


def neuron_records(session: Session, *, neuron_id: int) -> NeuronRecords:
    """All samples of a neuron in its subject's newest complete collection.

    Three queries, whatever the number of records. Raises NotFound for an unknown neuron.
    """
    row = session.execute(
        select(Neuron.max, Neuron.mean, Subject.collection_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Neuron.id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("There is no such neuron.")
    neuron = MeasuredNeuron(neuron_id, row.max, row.mean)
    return records_of_neurons(session, neurons=[neuron], collection_id=row.collection_id)[neuron_id]


def records_of_neurons(
    session: Session, *, neurons: Sequence[MeasuredNeuron], collection_id: int | None
) -> dict[int, NeuronRecords]:
    """All samples of several neurons in one collection, by the neuron's id. Two queries.

    The statistics are those of the subject's newest complete collection: so must the samples be.
    """
    samples = _samples(session, [neuron.neuron_id for neuron in neurons], collection_id)
    return {
        neuron.neuron_id: NeuronRecords(
            samples.get(neuron.neuron_id, {}),
            maximum=neuron.maximum if neuron.maximum is not None else 0.0,
            mean=neuron.mean,
        )
        for neuron in neurons
    }


_Samples: TypeAlias = dict[SampleKind, tuple[ActivationRecord, ...]]


def _samples(session: Session, neuron_ids: Sequence[int], collection_id: int | None) -> dict[int, _Samples]:
    rows = rows_of(session, _SAMPLES.given(neuron_ids=list(neuron_ids), collection_id=collection_id))
    ids = excerpt_tokens(session, excerpt_ids=(i for row in rows for i in row.excerpt_ids))
    tokens = {excerpt_id: np.array(token_ids, dtype=np.int32) for excerpt_id, token_ids in ids.items()}
    found: dict[int, _Samples] = defaultdict(dict)
    for row in rows:
        activations = unpack_activations(row.activations, [len(tokens[i]) for i in row.excerpt_ids])
        found[row.neuron_id][row.kind] = tuple(
            ActivationRecord(i, tokens[i], values) for i, values in zip(row.excerpt_ids, activations, strict=True)
        )
    return found
