"""Storage of a chunk of records from a reader, in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from sqlalchemy.orm import Session

from app.domain.arrays import Float32s
from app.domain.imports import ImportCounts
from app.domain.samples import SampleKind
from app.domain.storable import storable_text
from app.domain.tokens import TokenForm, token_form
from app.formats.bounds import BIGGEST_ACTIVATION
from app.formats.problems import Refuse, problem
from app.formats.records import Facts, NeuronRecord, Score
from app.queries.explanations.standing import refresh_neurons
from app.queries.imports.excerpts import ExcerptIds, ExcerptText, text_of
from app.queries.imports.explanations import NewExplanation, Simulated, attach_scores, store_explanations
from app.queries.imports.neurons import Address, store_neurons
from app.queries.imports.samples import NewRecords, SampleKey, StoredSamples, add_records
from app.queries.imports.subjects import Target, set_of, widen_subject
from app.queries.imports.tokens import TokenIds

FORM_EXCERPTS = 500
"""Number of excerpts from which the form of a data set's tokens is recognised."""


@dataclass(slots=True)
class Texts:
    """The distinct excerpts of a chunk, and their ids once found."""

    texts: list[ExcerptText] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def add(self, text: ExcerptText) -> int:
        """The index of an excerpt, by which its id is found later."""
        self.texts.append(text)
        return len(self.texts) - 1


@dataclass(frozen=True, slots=True)
class _Record:
    part: int
    """The index of the record in its chunk."""
    address: Address
    kind: SampleKind
    text: int
    activations: Float32s
    probability: float | None
    facts: Facts


class ChunkStore:
    """The memory of an import between chunks: tokens and excerpts seen so far."""

    def __init__(self, session: Session, target: Target, *, form: TokenForm | None, author: str) -> None:
        """``author`` is for explanations whose file names none; ``form`` None means that the first chunk decides it."""
        self._target, self._author = target, author
        self._set = target.source_set
        self._model: str | None = None
        self.form = form
        self._excerpts = ExcerptIds(
            TokenIds(session, tokenizer_id=target.tokenizer_id),
            corpus_id=target.corpus_id,
            tokenizer_id=target.tokenizer_id,
        )

    def store(self, session: Session, records: Sequence[NeuronRecord], refuse: Refuse) -> ImportCounts:
        """Store records, refusing those that cannot be stored. Returns counts of records read and of new rows."""
        records = [record for record in records if self._has_place(record, refuse)]
        if not records:
            return ImportCounts()
        self._widen(session, records)
        ids, n_new = store_neurons(
            session,
            subject_id=self._target.subject_id,
            collection_id=self._target.collection_id,
            records=records,
        )
        texts = Texts()
        rows = [row for part, record in enumerate(records) for row in _records(part, record, texts, refuse)]
        simulated = [(record, *_simulated(record, texts)) for record in records if record.explanations]
        if self.form is None and texts.texts:
            self.form = token_form(t for text in islice(texts.texts, FORM_EXCERPTS) for t in text.tokens)
        texts.ids = self._excerpts.find(session, texts.texts, self.form or TokenForm.TEXT) if texts.texts else []
        stored, n_records = self._add_records(session, ids, rows, simulated, texts)
        new = [each for row in simulated for each in self._explanations(ids, *row, stored, texts)]
        explanations = store_explanations(session, collection_id=self._target.collection_id, explanations=new)
        n_attached, attached = self._attach(session, ids, records, refuse)
        changed = sorted({*explanations.neuron_ids, *attached})
        if changed:
            refresh_neurons(session, neuron_ids=changed)
        return ImportCounts(
            neurons=len(records),
            new_neurons=n_new,
            activation_records=n_records,
            new_activation_records=stored.n_new,
            explanations=len(new),
            new_explanations=explanations.n_explanations,
            new_scores=explanations.n_scores + n_attached,
            new_simulations=explanations.n_simulations,
        )

    def _has_place(self, record: NeuronRecord, refuse: Refuse) -> bool:
        widths = self._target.widths
        if not self._is_of_model(record, refuse) or (widths is None and not self._is_of_set(record, refuse)):
            return False
        if widths is None or (record.layer < len(widths) and record.index < widths[record.layer]):
            return True
        shape = f"{len(widths)} layers of at most {max(widths, default=0)} neurons"
        refuse(problem(record.origin, f"the subject has no neuron {record.layer}/{record.index}: it has {shape}"))
        return False

    def _is_of_model(self, record: NeuronRecord, refuse: Refuse) -> bool:
        """Whether a record is of the same model as the import's first record."""
        if record.model is None:
            return True
        named = storable_text(record.model)
        self._model = self._model or named
        if named == self._model:
            return True
        reason = (
            f"it is of the model {named} and those before it are of {self._model}: import it as a subject of its own"
        )
        refuse(problem(record.origin, reason, "model"))
        return False

    def _is_of_set(self, record: NeuronRecord, refuse: Refuse) -> bool:
        """Whether a record is of the subject's set of neurons, which the first record names."""
        if record.source is None:
            return True
        named = storable_text(set_of(record.source, record.layer))
        self._set = self._set or named
        if named == self._set:
            return True
        reason = f"it is of {named} and the subject of {self._set}: import it as a subject of its own"
        refuse(problem(record.origin, reason, "source"))
        return False

    def _widen(self, session: Session, records: Sequence[NeuronRecord]) -> None:
        widths: dict[int, int] = {}
        for record in records:
            widths[record.layer] = max(widths.get(record.layer, 0), record.index + 1)
        widen_subject(
            session, subject_id=self._target.subject_id, widths=widths, source_set=self._set, model=self._model
        )

    def _add_records(
        self,
        session: Session,
        ids: dict[Address, int],
        rows: Sequence[_Record],
        simulated: "Sequence[tuple[NeuronRecord, list[list[_SimulatedText]]]]",
        texts: Texts,
    ) -> tuple[StoredSamples, int]:
        """Store the records of samples, then the simulated excerpts that no sample has."""
        new: dict[SampleKey, NewRecords] = {}
        first: dict[tuple[SampleKey, int], int] = {}
        for row in rows:
            key, excerpt_id = (ids[row.address], row.kind), texts.ids[row.text]
            # An excerpt that a file repeats is stored once.
            if first.setdefault((key, excerpt_id), row.part) == row.part:
                new.setdefault(key, NewRecords()).add(excerpt_id, row.activations, row.probability, row.facts)
        collection_id, neuron_ids = self._target.collection_id, sorted(set(ids.values()))
        stored = add_records(session, collection_id=collection_id, neuron_ids=neuron_ids, new=new)
        missing: dict[SampleKey, NewRecords] = {}
        for record, explanations in simulated:
            neuron_id = ids[record.layer, record.index]
            for text in (text for explanation in explanations for text in explanation):
                excerpt_id = texts.ids[text.text]
                if (neuron_id, excerpt_id) not in stored.kinds:
                    records = missing.setdefault((neuron_id, text.kind), NewRecords())
                    if excerpt_id not in records.excerpt_ids:
                        records.add(excerpt_id, text.activations)
        if not missing:
            return stored, len(rows)
        more = add_records(session, collection_id=collection_id, neuron_ids=neuron_ids, new=missing)
        return StoredSamples(stored.n_new + more.n_new, more.kinds, more.peaks), len(rows) + more.n_new

    def _attach(
        self, session: Session, ids: dict[Address, int], records: Sequence[NeuronRecord], refuse: Refuse
    ) -> tuple[int, set[int]]:
        """Store scores whose explanation is in another file that was read before."""
        loose = [(ids[record.layer, record.index], record) for record in records if record.loose_scores]
        if not loose:
            return 0, set()
        scores: dict[int, list[Score]] = {}
        for neuron_id, record in loose:
            scores.setdefault(neuron_id, []).extend(record.loose_scores)
        collection_id = self._target.collection_id
        n, changed, missing = attach_scores(session, collection_id=collection_id, author=self._author, scores=scores)
        for neuron_id, record in loose:
            if neuron_id in missing:
                refuse(problem(record.origin, "the explanation that it scores was not imported before it"))
        return n, changed

    def _explanations(
        self,
        ids: dict[Address, int],
        record: NeuronRecord,
        explanations: "list[list[_SimulatedText]]",
        stored: StoredSamples,
        texts: Texts,
    ) -> Iterator[NewExplanation]:
        neuron_id = ids[record.layer, record.index]
        maximum = record.statistics.max
        if maximum is None:
            maximum = stored.peaks.get(neuron_id, 0.0)
        for found, rows in zip(record.explanations, explanations, strict=True):
            simulated = [
                Simulated(
                    texts.ids[row.text],
                    stored.kind(neuron_id, texts.ids[row.text], said=row.kind),
                    row.activations,
                    found.simulations[row.index],
                )
                for row in rows
            ]
            yield NewExplanation(neuron_id, maximum, found, found.author or self._author, simulated)


@dataclass(frozen=True, slots=True)
class _SimulatedText:
    index: int
    text: int
    kind: SampleKind
    activations: Float32s


def _records(part: int, record: NeuronRecord, texts: Texts, refuse: Refuse) -> Iterator[_Record]:
    for sample in record.samples:
        for i, row in enumerate(sample.records):
            activations = _storable(row.activations)
            if activations is None:
                reason = f"an activation is beyond {BIGGEST_ACTIVATION:,.0f}, the largest that is stored"
                refuse(problem(record.origin, reason, f"{sample.kind}[{i}].activations"))
                continue
            text = texts.add(text_of(row))
            yield _Record(
                part, (record.layer, record.index), sample.kind, text, activations, row.probability, row.facts
            )


def _simulated(record: NeuronRecord, texts: Texts) -> tuple[list[list[_SimulatedText]]]:
    """The simulated excerpts of each explanation.

    A simulation has only tokens. If the record has an excerpt with these tokens, that excerpt is used, with its
    document and position.
    """
    own: dict[tuple[SampleKind | None, tuple[str, ...]], ExcerptText] = {}
    if any(explanation.simulations for explanation in record.explanations):
        for sample in record.samples:
            for each in sample.records:
                for kind in (sample.kind, None):
                    own.setdefault((kind, tuple(each.tokens)), text_of(each))
    found = []
    for explanation in record.explanations:
        rows = []
        for i, row in enumerate(explanation.simulations):
            activations = _storable(row.activations)
            if activations is not None:
                tokens = tuple(row.simulation.tokens)
                named = own.get((row.kind, tokens)) or own.get((None, tokens)) or ExcerptText(row.simulation.tokens)
                text = texts.add(named)
                rows.append(_SimulatedText(i, text, row.kind or SampleKind.TOP, activations))
        found.append(rows)
    return (found,)


def _storable(activations: Sequence[float]) -> Float32s | None:
    """Activations as an array [T]; None if a number is too large to be stored."""
    with np.errstate(over="ignore"):
        found = np.array(activations, dtype=np.float32)
    return found if np.abs(found).max(initial=0) <= BIGGEST_ACTIVATION else None
