"""Neurons with all stored data, as writers take them. In chunks, ordered by layer and index."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.domain.activations import unpack_activations
from app.domain.samples import SampleKind
from app.domain.sites import LAYER, SiteKind
from app.domain.tokens import Vocabulary
from app.domain.work import WorkStatus
from app.errors import NotFound
from app.formats import records as model
from app.models import CollectedNeuron, Collection, Document, Excerpt, Neuron, Run, Sample, Subject, VocabularyToken
from app.queries.exports.explanations import explanations_of
from app.queries.imports.neurons import FAILURES_FACT, NOT_OF_A_FORMAT
from app.queries.imports.subjects import source_set_of
from app.queries.neurons.records import vocabulary
from app.queries.subjects.collections import STATISTICS

CHUNK = 100
"""Neurons that are in memory at the same time."""
_MODEL_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
"""A model's hub name. A folder or URL means nothing on another machine, so the subject's slug is written instead."""


@dataclass(frozen=True, slots=True)
class ExportedSubject:
    """The facts about its subject that an export needs."""

    id: int
    slug: str
    model: str
    """The model's name as written to files."""
    source_set: str | None
    """The set of neurons that imported files named, with ``{layer}`` for the layer."""
    model_ids: Mapping[int, int] | None
    """Ids of its tokens in the model's tokenizer, as far as imported files gave them; None for a collected subject.

    An import numbers the tokens of its files itself; a collected subject's token ids are the model's.
    """
    collection_id: int | None
    n_layers: int
    words: Vocabulary
    ambiguous: frozenset[str]
    """Document names that several documents of its corpora have, such as that of a common file."""

    def by_model(self, token_ids: Sequence[int]) -> list[int] | None:
        """The ids of an excerpt's tokens in the model's tokenizer; None if one is not known."""
        if self.model_ids is None:
            return list(token_ids)
        found = [self.model_ids[i] for i in token_ids if i in self.model_ids]
        return found if len(found) == len(token_ids) else None


@dataclass(slots=True)
class Excerpts:
    """Excerpts by id: their tokens as text, their token ids, their documents and positions."""

    subject: ExportedSubject
    found: dict[int, model.ActivationRecord] = field(default_factory=dict)

    def load(self, session: Session, excerpt_ids: Sequence[int]) -> None:
        """Read the excerpts that have not been read yet. One query."""
        wanted = sorted(set(excerpt_ids) - self.found.keys())
        rows = session.execute(
            select(Excerpt.id, Excerpt.token_ids, Document.name, Document.ordinal, Excerpt.position)
            .outerjoin(Document, Document.id == Excerpt.document_id)
            .where(Excerpt.id.in_(wanted))
        )
        for excerpt_id, token_ids, document, ordinal, position in rows:
            tokens = self.subject.words.strings(token_ids)
            known_position = None if document is None else position
            if document in self.subject.ambiguous:
                document = f"{document}#{ordinal}"
            self.found[excerpt_id] = model.ActivationRecord(
                tokens, (), self.subject.by_model(token_ids), document, known_position
            )

    def lengths(self, excerpt_ids: Sequence[int]) -> list[int]:
        return [len(self.found[i].tokens) for i in excerpt_ids]


def exported_subject(session: Session, *, slug: str) -> ExportedSubject:
    """The subject of this slug, with its vocabulary. Raises NotFound."""
    subject = session.scalar(select(Subject).where(Subject.slug == slug))
    if subject is None:
        raise NotFound(f"There is no subject {slug!r}.")
    words = vocabulary(session, tokenizer_id=subject.tokenizer_id)
    model_name = subject.source if _MODEL_NAME.fullmatch(subject.source) else slug
    return ExportedSubject(
        subject.id,
        slug,
        model_name,
        source_set_of(subject),
        _model_ids(session, subject),
        subject.collection_id,
        subject.n_layers,
        words,
        _ambiguous(session, subject.id),
    )


def _model_ids(session: Session, subject: Subject) -> Mapping[int, int] | None:
    if SiteKind(subject.site["kind"]) is not SiteKind.IMPORTED:
        return None
    rows = session.execute(
        select(VocabularyToken.token_id, VocabularyToken.model_id).where(
            VocabularyToken.tokenizer_id == subject.tokenizer_id, VocabularyToken.model_id.is_not(None)
        )
    )
    return {row.token_id: row.model_id for row in rows if row.model_id is not None}


def _ambiguous(session: Session, subject_id: int) -> frozenset[str]:
    corpora = select(Collection.corpus_id).where(Collection.subject_id == subject_id)
    named = select(Document.name).where(Document.corpus_id.in_(corpora))
    return frozenset(session.scalars(named.group_by(Document.corpus_id, Document.name).having(func.count() > 1)))


def neuron_chunk(
    session: Session, *, subject: ExportedSubject, after: tuple[int, int] | None
) -> list[model.NeuronRecord]:
    """The next neurons after a (layer, index), with the records of the collection that the subject shows."""
    statement = select(Neuron).where(Neuron.subject_id == subject.id).order_by(Neuron.layer, Neuron.index).limit(CHUNK)
    if after is not None:
        statement = statement.where(tuple_(Neuron.layer, Neuron.index) > tuple_(*after))
    neurons = session.scalars(statement).all()
    ids = [neuron.id for neuron in neurons]
    samples = _samples(session, ids)
    excerpts = Excerpts(subject)
    excerpts.load(session, [i for own in samples.values() for sample in own for i in sample.excerpt_ids])
    collected = _collected(session, ids, subject.collection_id)
    explanations = explanations_of(session, neuron_ids=ids, samples=samples, excerpts=excerpts)
    failures = _failures(session, ids)
    found = [
        model.NeuronRecord(
            neuron.layer,
            neuron.index,
            model.Origin(""),
            model=subject.model,
            source=None if subject.source_set is None else subject.source_set.replace(LAYER, str(neuron.layer)),
            statistics=_statistics(neuron),
            samples=list(_sample_records(samples[neuron.id], subject.collection_id, excerpts)),
            explanations=explanations.get(neuron.id, []),
            failures=[*collected.get(neuron.id, {}).get(FAILURES_FACT, ()), *failures.get(neuron.id, ())],
            facts={name: v for name, v in collected.get(neuron.id, {}).items() if name not in NOT_OF_A_FORMAT},
        )
        for neuron in neurons
    ]
    session.expunge_all()
    return found


def _samples(session: Session, neuron_ids: Sequence[int]) -> Mapping[int, list[Sample]]:
    rows = session.scalars(
        select(Sample)
        .join(Collection, Collection.id == Sample.collection_id)
        .where(Sample.neuron_id.in_(neuron_ids))
        .order_by(Sample.neuron_id, Sample.collection_id)
    )
    found: dict[int, list[Sample]] = defaultdict(list)
    for sample in rows:
        found[sample.neuron_id].append(sample)
    return found


def _collected(session: Session, neuron_ids: Sequence[int], collection_id: int | None) -> dict[int, Mapping[str, Any]]:
    rows = session.execute(
        select(CollectedNeuron.neuron_id, CollectedNeuron.facts).where(
            CollectedNeuron.neuron_id.in_(neuron_ids), CollectedNeuron.collection_id == collection_id
        )
    )
    return {neuron_id: facts or {} for neuron_id, facts in rows}


def _statistics(neuron: Neuron) -> model.Statistics:
    return model.Statistics(**{name: getattr(neuron, name) for name in STATISTICS})


def _sample_records(
    samples: Sequence[Sample], collection_id: int | None, excerpts: Excerpts
) -> Iterator[model.SampleRecords]:
    own = {SampleKind(sample.kind): sample for sample in samples if sample.collection_id == collection_id}
    for kind in SampleKind:
        if kind in own:
            yield model.SampleRecords(kind, list(_records(own[kind], excerpts)))


def _records(sample: Sample, excerpts: Excerpts) -> Iterator[model.ActivationRecord]:
    rows = unpack_activations(sample.activations, excerpts.lengths(sample.excerpt_ids))
    probabilities: Sequence[float | None] = sample.probabilities or [None] * len(rows)
    facts: Sequence[model.Facts] = sample.facts or [{}] * len(rows)
    for excerpt_id, row, probability, known in zip(sample.excerpt_ids, rows, probabilities, facts, strict=True):
        found = excerpts.found[excerpt_id]
        yield model.ActivationRecord(
            found.tokens, row.tolist(), found.token_ids, found.document, found.position, probability, known
        )


def _failures(session: Session, neuron_ids: Sequence[int]) -> dict[int, list[str]]:
    """Why the runs of methods that ended without an explanation did so."""
    rows = session.execute(
        select(Run.neuron_id, Run.status, Run.error)
        .where(
            Run.neuron_id.in_(neuron_ids),
            Run.status.in_((WorkStatus.NO_EXPLANATION, WorkStatus.FAILED, WorkStatus.QUARANTINED)),
        )
        .order_by(Run.id)
    )
    found: dict[int, list[str]] = defaultdict(list)
    for neuron_id, status, error in rows:
        found[neuron_id].append(error or status)
    return found
