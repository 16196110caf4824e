"""Storage of activation records: new samples by COPY, further records appended to existing samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from psycopg.types.json import Jsonb
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.domain.activations import pack_activations, unpack_activations
from app.domain.arrays import Float32s
from app.domain.samples import SampleKind
from app.domain.storable import storable_json
from app.formats.records import Facts
from app.models import Sample
from app.queries.common.bulk import copy_into
from app.queries.neurons.records import excerpt_tokens
from app.queries.subjects.collections import SAMPLE_COLUMNS

SampleKey: TypeAlias = tuple[int, SampleKind]
"""A neuron's id and one of its samples."""
_COLUMNS = {**SAMPLE_COLUMNS, "facts": "jsonb"}


@dataclass(slots=True)
class NewRecords:
    """Records of one sample: excerpt ids, activations [T] each, and probabilities and facts if the file gives them."""

    excerpt_ids: list[int] = field(default_factory=list)
    activations: list[Float32s] = field(default_factory=list)
    probabilities: list[float | None] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)

    def add(
        self, excerpt_id: int, activations: Float32s, probability: float | None = None, facts: Facts | None = None
    ) -> None:
        """Append one record."""
        self.excerpt_ids.append(excerpt_id)
        self.activations.append(activations)
        self.probabilities.append(probability)
        self.facts.append(facts or {})

    @property
    def peaks(self) -> list[float]:
        return [float(row.max()) for row in self.activations]

    def ordered(self, kind: SampleKind) -> "NewRecords":
        """The records in the order of their sample: those of the top sample by peak, others as in the file."""
        if kind is not SampleKind.TOP:
            return self
        order = np.argsort([-peak for peak in self.peaks], kind="stable").tolist()
        return NewRecords(
            [self.excerpt_ids[i] for i in order],
            [self.activations[i] for i in order],
            [self.probabilities[i] for i in order],
            [self.facts[i] for i in order],
        )

    def row(self, neuron_id: int, collection_id: int, kind: SampleKind) -> tuple[object, ...]:
        """The row in the order of ``_COLUMNS``. Probabilities are stored only if known for all records."""
        found = self.ordered(kind)
        known = None if None in found.probabilities else found.probabilities
        packed = pack_activations(found.activations)
        facts = [storable_json(dict(each)) for each in found.facts] if any(found.facts) else None
        return (neuron_id, collection_id, str(kind), found.excerpt_ids, packed, found.peaks, known, facts)


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """The samples of some neurons after new records were added to them."""

    n_new: int
    kinds: Mapping[tuple[int, int], frozenset[SampleKind]]
    """Sample kinds that contain an excerpt, by neuron and excerpt."""
    peaks: Mapping[int, float]
    """The highest activation of a neuron's records, by neuron."""

    def kind(self, neuron_id: int, excerpt_id: int, *, said: SampleKind) -> SampleKind:
        """The sample of an excerpt: the one named in the file, otherwise the first sample that has the excerpt."""
        found = self.kinds.get((neuron_id, excerpt_id), frozenset())
        return said if said in found or not found else min(found, key=_RANK.__getitem__)


def add_records(
    session: Session, *, collection_id: int, neuron_ids: Sequence[int], new: Mapping[SampleKey, NewRecords]
) -> StoredSamples:
    """Store records of these neurons. An excerpt that a sample already has is not stored again."""
    rows = session.execute(
        select(Sample.neuron_id, Sample.kind, Sample.excerpt_ids, Sample.peaks).where(
            Sample.collection_id == collection_id, Sample.neuron_id.in_(neuron_ids)
        )
    ).all()
    stored = {(row.neuron_id, SampleKind(row.kind)): row for row in rows}
    kinds: dict[tuple[int, int], frozenset[SampleKind]] = {}
    peaks: dict[int, float] = {}
    for (neuron_id, kind), row in stored.items():
        _note(kinds, peaks, neuron_id, kind, row.excerpt_ids, row.peaks)
    fresh: list[tuple[object, ...]] = []
    n_new = 0
    for (neuron_id, kind), records in new.items():
        known = stored.get((neuron_id, kind))
        if known is None:
            fresh.append(records.row(neuron_id, collection_id, kind))
            added = records
        else:
            added = _without(records, set(known.excerpt_ids))
            if added.excerpt_ids:
                _append(session, neuron_id, collection_id, kind, added)
        n_new += len(added.excerpt_ids)
        _note(kinds, peaks, neuron_id, kind, added.excerpt_ids, added.peaks)
    copy_into(session, "sample", _COLUMNS, ((*row, None if facts is None else Jsonb(facts)) for *row, facts in fresh))
    return StoredSamples(n_new, kinds, peaks)


def _note(
    kinds: dict[tuple[int, int], frozenset[SampleKind]],
    peaks: dict[int, float],
    neuron_id: int,
    kind: SampleKind,
    excerpt_ids: Sequence[int],
    own_peaks: Sequence[float],
) -> None:
    for excerpt_id in excerpt_ids:
        key = (neuron_id, excerpt_id)
        kinds[key] = kinds.get(key, frozenset()) | {kind}
    if own_peaks:
        peaks[neuron_id] = max(peaks.get(neuron_id, -np.inf), *own_peaks)


_RANK = {kind: rank for rank, kind in enumerate(SampleKind)}


def _without(records: NewRecords, known: set[int]) -> NewRecords:
    kept = NewRecords()
    for i, excerpt_id in enumerate(records.excerpt_ids):
        if excerpt_id not in known:
            kept.add(excerpt_id, records.activations[i], records.probabilities[i], records.facts[i])
    return kept


def _append(session: Session, neuron_id: int, collection_id: int, kind: SampleKind, added: NewRecords) -> None:
    sample = session.get_one(Sample, (neuron_id, collection_id, kind))
    tokens = excerpt_tokens(session, excerpt_ids=sample.excerpt_ids)
    rows = unpack_activations(sample.activations, [len(tokens[i]) for i in sample.excerpt_ids])
    both = NewRecords()
    for i, excerpt_id in enumerate(sample.excerpt_ids):
        probability = None if sample.probabilities is None else sample.probabilities[i]
        both.add(excerpt_id, rows[i], probability, None if sample.facts is None else sample.facts[i])
    for i, excerpt_id in enumerate(added.excerpt_ids):
        both.add(excerpt_id, added.activations[i], added.probabilities[i], added.facts[i])
    *_, excerpt_ids, activations, peaks, probabilities, facts = both.row(neuron_id, collection_id, kind)
    session.execute(
        update(Sample)
        .where(Sample.neuron_id == neuron_id, Sample.collection_id == collection_id, Sample.kind == kind)
        .values(excerpt_ids=excerpt_ids, activations=activations, peaks=peaks, probabilities=probabilities, facts=facts)
        .execution_options(synchronize_session=False)
    )
    session.expire(sample)
