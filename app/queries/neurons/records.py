"""Stored activation records and vocabularies."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, bindparam, exists, select
from sqlalchemy.orm import Session

from app.domain.activations import ActivationRecord, NeuronRecords, unpack_activations
from app.domain.arrays import Int32s
from app.domain.samples import BANDS, SampleKind, populations
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from app.errors import NotFound
from app.models import (
    CollectedNeuron,
    Collection,
    Excerpt,
    Neuron,
    Sample,
    Subject,
    Tokenizer,
    VocabularyToken,
)
from app.queries.common.prepared import PreparedSelect, one_round_trip, rows_of


@dataclass(frozen=True, slots=True)
class MeasuredNeuron:
    """A neuron with its maximum and mean over every token of the corpus; None if an import does not give them."""

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
    peaks: list[float]
    probabilities: list[float] | None


@dataclass(frozen=True, slots=True)
class _Collected:
    """A neuron's statistics in one collection, without its samples."""

    neuron_id: int
    mean: float | None
    max: float | None
    band_edges: list[float] | None
    stratum_sizes: list[int] | None
    token_ids: list[int]
    token_means: list[float]
    token_counts: list[int]
    tokens_done: int

    @property
    def tokens(self) -> TokenTable | None:
        """The table of the neuron's tokens; None if the collection has none."""
        if self.mean is None or not self.token_ids:
            return None
        return TokenTable.of_corpus(
            np.array(self.token_ids, dtype=np.int32),
            np.array(self.token_means, dtype=np.float64),
            np.array(self.token_counts, dtype=np.int64),
            mean=self.mean,
            n_tokens=self.tokens_done,
        )


# Built once at import: building these statements takes longer than executing them. Arrays instead of IN: the text is
# the same for any number of ids, so that the statement stays prepared.
_EXCERPTS = PreparedSelect(
    _ExcerptTokens,
    select(Excerpt.id, Excerpt.token_ids).where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger)))),
)
_SAMPLES = PreparedSelect(
    _Sample,
    select(
        Sample.neuron_id,
        Sample.kind,
        Sample.excerpt_ids,
        Sample.activations,
        Sample.peaks,
        Sample.probabilities,
    ).where(
        Sample.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))),
        Sample.collection_id == bindparam("collection_id"),
    ),
)

_COLLECTED = PreparedSelect(
    _Collected,
    select(
        CollectedNeuron.neuron_id,
        CollectedNeuron.mean,
        CollectedNeuron.max,
        CollectedNeuron.band_edges,
        CollectedNeuron.stratum_sizes,
        CollectedNeuron.token_ids,
        CollectedNeuron.token_means,
        CollectedNeuron.token_counts,
        Collection.tokens_done,
    )
    .join(Collection, Collection.id == CollectedNeuron.collection_id)
    .where(
        CollectedNeuron.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))),
        CollectedNeuron.collection_id == bindparam("collection_id"),
    ),
)


def has_records(neuron: Any, collection_id: Any) -> ColumnElement[bool]:
    """Condition that a neuron, a table or alias of the enclosing statement, has records in this collection."""
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
    """All samples of several neurons in one collection, by the neuron's id. Two round trips.

    Maximum and mean are the collection's own. If it has none, they are those of ``neurons``, which come from the
    subject's newest complete collection.
    """
    parameters = {"neuron_ids": [neuron.neuron_id for neuron in neurons], "collection_id": collection_id}
    with one_round_trip(session) as trip:
        samples, collected = trip.send(_SAMPLES.given(**parameters)), trip.send(_COLLECTED.given(**parameters))
    ids = excerpt_tokens(session, excerpt_ids=(i for row in samples.rows for i in row.excerpt_ids))
    tokens = {excerpt_id: np.array(token_ids, dtype=np.int32) for excerpt_id, token_ids in ids.items()}
    stored: dict[int, list[_Sample]] = defaultdict(list)
    for row in samples.rows:
        stored[row.neuron_id].append(row)
    found = {row.neuron_id: row for row in collected.rows}
    return {
        neuron.neuron_id: _records(neuron, stored[neuron.neuron_id], found.get(neuron.neuron_id), tokens)
        for neuron in neurons
    }


def _records(
    neuron: MeasuredNeuron, samples: Sequence[_Sample], collected: _Collected | None, tokens: Mapping[int, Int32s]
) -> NeuronRecords:
    top = {i for sample in samples if sample.kind is SampleKind.TOP for i in sample.excerpt_ids}
    edges = None if collected is None else collected.band_edges
    maximum = neuron.maximum if collected is None or collected.max is None else collected.max
    return NeuronRecords(
        {sample.kind: tuple(_sample(sample, edges, top, tokens)) for sample in samples},
        maximum=maximum if maximum is not None else 0.0,
        mean=neuron.mean if collected is None or collected.mean is None else collected.mean,
        populations={} if collected is None else populations(collected.stratum_sizes),
        tokens=None if collected is None else collected.tokens,
    )


def _sample(
    sample: _Sample, band_edges: Sequence[float] | None, top: Set[int], tokens: Mapping[int, Int32s]
) -> Iterator[ActivationRecord]:
    """The records of a sample. For ``random``, each record's stratum is the top sample or the band of its peak."""
    ids = sample.excerpt_ids
    activations = unpack_activations(sample.activations, [len(tokens[i]) for i in ids])
    if sample.probabilities is None or band_edges is None:
        for excerpt_id, values in zip(ids, activations, strict=True):
            yield ActivationRecord(excerpt_id, tokens[excerpt_id], values)
        return
    bands = np.searchsorted(band_edges, sample.peaks, side="right").tolist()
    for excerpt_id, values, band, probability in zip(ids, activations, bands, sample.probabilities, strict=True):
        stratum = SampleKind.TOP if excerpt_id in top else BANDS[band]
        yield ActivationRecord(excerpt_id, tokens[excerpt_id], values, stratum, probability)
