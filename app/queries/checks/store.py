"""The input of a check of executable explanations, and the one transaction that stores its results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from app.domain.activations import pack_activations
from app.domain.arrays import Float32s, Float64s, Int32s
from app.domain.events import EventKind
from app.domain.executed import CORPUS, EXECUTED, FIRING_LEVEL, NOT_EXECUTABLE, Execution, Measured, Mistake
from app.domain.steps.simulators import LEXICAL
from app.errors import NotFound
from app.models import (
    Collection,
    Corpus,
    Document,
    Excerpt,
    Explanation,
    Neuron,
    Score,
    Subject,
    Tokenizer,
)
from app.queries.common.bulk import copy_into
from app.queries.explanations.standing import refresh_neurons
from app.queries.history.events import record_event
from app.queries.neurons.tokens import table_correlations

_CHECK = {
    "explanation_id": "int8",
    "collection_id": "int8",
    "reading": "text",
    "firing_level": "int2",
    "n_tokens": "int8",
    "n_firing": "int8",
    "n_claimed": "int8",
    "n_right": "int8",
    "average_precision": "float8",
    "code_version": "text",
}
_MISTAKE = {
    "explanation_id": "int8",
    "collection_id": "int8",
    "kind": "text",
    "n_tokens": "int8",
    "token_ids": "int4[]",
    "token_counts": "int8[]",
    "excerpt_ids": "int8[]",
    "activations": "bytea",
    "expected": "bytea",
}
_SCORE = {
    "explanation_id": "int8",
    "collection_id": "int8",
    "scorer": "text",
    "sample": "text",
    "simulator": "text",
    "value": "float8",
    "undefined_reason": "text",
    "n_valid": "int8",
    "n_failed": "int4",
    "token_lookup_baseline": "float8",
}
_TABLES_AT_ONCE = 2000
"""Neurons whose token tables are in memory at the same time."""


@dataclass(frozen=True, slots=True)
class CheckedCollection:
    """The collection against which a subject's explanations are checked, with the keys of its corpus."""

    subject_id: int
    collection_id: int
    corpus_id: int
    corpus: str
    corpus_digest: str
    tokenizer_id: int
    tokenizer_digest: str
    context_length: int
    n_excerpts: int
    n_layers: int
    neurons_per_layer: int


@dataclass(frozen=True, slots=True)
class UncheckedExplanation:
    """An explanation of a subject that has no check yet."""

    id: int
    layer: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, variance and maximum of every neuron over the corpus, [layers, neurons]; NaN if not known."""

    mean: Float64s
    variance: Float64s
    maximum: Float64s


@dataclass(frozen=True, slots=True)
class KeptMistakes:
    """The mistakes of one kind: their number, the tokens with the most of them, and a few excerpts."""

    n_tokens: int
    tokens: Sequence[tuple[int, int]]
    """(token id, mistakes), most mistakes first."""
    excerpt_ids: Sequence[int]
    activations: Sequence[Float32s]
    expected: Sequence[Float32s]
    """Predicted levels 0..10, one per token, parallel to ``activations``."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """All stored results of one executed explanation."""

    explanation_id: int
    reading: str
    execution: Execution
    mistakes: Mapping[Mistake, KeptMistakes]


def collection_to_check(session: Session, *, slug: str) -> CheckedCollection:
    """The newest complete collection of a subject. Raises NotFound if there is none."""
    row = session.execute(
        select(Subject, Collection, Corpus, Tokenizer.digest)
        .join(Collection, Collection.id == Subject.collection_id)
        .join(Corpus, Corpus.id == Collection.corpus_id)
        .join(Tokenizer, Tokenizer.id == Subject.tokenizer_id)
        .where(Subject.slug == slug)
    ).first()
    if row is None:
        raise NotFound(f"There is no subject {slug!r} with a complete collection.")
    return CheckedCollection(
        subject_id=row.Subject.id,
        collection_id=row.Collection.id,
        corpus_id=row.Corpus.id,
        corpus=row.Corpus.name,
        corpus_digest=row.Corpus.digest,
        tokenizer_id=row.Subject.tokenizer_id,
        tokenizer_digest=row.digest,
        context_length=row.Collection.context_length,
        n_excerpts=row.Collection.n_excerpts,
        n_layers=row.Subject.n_layers,
        neurons_per_layer=row.Subject.neurons_per_layer,
    )


def unchecked_explanations(session: Session, *, subject_id: int, collection_id: int) -> list[UncheckedExplanation]:
    """The explanations of a subject that have not been checked on this collection, by layer, index and id."""
    rows = session.execute(
        select(Explanation.id, Neuron.layer, Neuron.index.label("number"), Explanation.text)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .where(*_unchecked(subject_id, collection_id))
        .order_by(Neuron.layer, Neuron.index, Explanation.id)
    ).all()
    return [UncheckedExplanation(row.id, row.layer, row.number, row.text) for row in rows]


def has_unchecked_explanations(session: Session, *, subject_id: int, collection_id: int) -> bool:
    """Whether an explanation has not been checked on this collection."""
    found = (
        select(Explanation.id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .where(*_unchecked(subject_id, collection_id))
        .limit(1)
    )
    return session.scalar(found) is not None


def _unchecked(subject_id: int, collection_id: int) -> tuple[ColumnElement[bool], ...]:
    """Selects explanations without an executed score on the collection; unreadable ones have an undefined score."""
    scored = exists().where(
        Score.explanation_id == Explanation.id, Score.scorer == EXECUTED, Score.collection_id == collection_id
    )
    return Neuron.subject_id == subject_id, ~scored


def neuron_moments(session: Session, *, subject_id: int, shape: tuple[int, int]) -> Moments:
    """The moments found by the newest collection; ``shape`` is (layers, neurons)."""
    mean, variance, maximum = (np.full(shape, np.nan) for _ in range(3))
    rows = session.execute(
        select(Neuron.layer, Neuron.index.label("number"), Neuron.mean, Neuron.variance, Neuron.max).where(
            Neuron.subject_id == subject_id
        )
    )
    for row in rows:
        for array, value in ((mean, row.mean), (variance, row.variance), (maximum, row.max)):
            if value is not None:
                array[row.layer, row.number] = value
    return Moments(mean, variance, maximum)


def some_excerpts(session: Session, *, checked: CheckedCollection, limit: int) -> list[tuple[int, int, Int32s]]:
    """(document ordinal, position, token ids) of the first stored excerpts of the collection's corpus."""
    rows = session.execute(
        select(Document.ordinal, Excerpt.position, Excerpt.token_ids)
        .join(Document, Document.id == Excerpt.document_id)
        .where(
            Document.corpus_id == checked.corpus_id,
            Excerpt.tokenizer_id == checked.tokenizer_id,
            Excerpt.length == checked.context_length,
        )
        .order_by(Excerpt.id)
        .limit(limit)
    ).all()
    return [(row.ordinal, row.position, np.array(row.token_ids, dtype=np.int32)) for row in rows]


def store_checks(
    session: Session,
    *,
    checked: CheckedCollection,
    results: Iterable[CheckResult],
    unreadable: Sequence[int],
    code_version: str,
) -> int:
    """Store checks and their scores, and update the neurons; returns the number of checks.

    ``unreadable`` are explanations in which nothing could be executed: they get an undefined score. Checks that another
    process has stored meanwhile are left out.
    """
    # Transactions for one collection run one after the other, so that no check is stored twice.
    session.execute(select(func.pg_advisory_xact_lock(checked.collection_id)))
    collection_id = checked.collection_id
    known = set(
        session.scalars(
            select(Score.explanation_id).where(Score.collection_id == collection_id, Score.scorer == EXECUTED)
        )
    )
    new = [result for result in results if result.explanation_id not in known]
    nothing = [explanation_id for explanation_id in unreadable if explanation_id not in known]
    copy_into(session, "corpus_check", _CHECK, (_check_row(collection_id, each, code_version) for each in new))
    copy_into(session, "check_mistake", _MISTAKE, (row for each in new for row in _mistake_rows(collection_id, each)))
    scores = {each.explanation_id: (each.execution.correlation, each.execution.n_tokens) for each in new}
    scores |= dict.fromkeys(nothing, (Measured(None, NOT_EXECUTABLE), 0))
    _store_scores(session, collection_id, scores)
    record_event(
        session,
        kind=EventKind.CHECK_COMPLETED,
        subject_id=checked.subject_id,
        detail={"collection_id": collection_id, "n_explanations": len(new), "n_unreadable": len(nothing)},
    )
    return len(new)


def _check_row(collection_id: int, result: CheckResult, code_version: str) -> tuple[int | str | float | None, ...]:
    """The values of ``_CHECK``."""
    execution = result.execution
    return (
        result.explanation_id,
        collection_id,
        result.reading,
        FIRING_LEVEL,
        execution.n_tokens,
        execution.n_firing,
        execution.n_claimed,
        execution.n_right,
        execution.average_precision.value,
        code_version,
    )


def _mistake_rows(collection_id: int, result: CheckResult) -> Iterator[tuple[object, ...]]:
    """The values of ``_MISTAKE``, once for each kind."""
    for kind, kept in result.mistakes.items():
        yield (
            result.explanation_id,
            collection_id,
            str(kind),
            kept.n_tokens,
            [token for token, _ in kept.tokens],
            [count for _, count in kept.tokens],
            list(kept.excerpt_ids),
            pack_activations(kept.activations),
            pack_activations(kept.expected),
        )


def _store_scores(session: Session, collection_id: int, scores: Mapping[int, tuple[Measured, int]]) -> None:
    """Store correlations by explanation id, each over a number of tokens, and update the neurons."""
    neurons = _neurons_of(session, list(scores))
    tables = _token_tables(session, collection_id, set(neurons.values()))
    rows = (
        _score_row(collection_id, explanation_id, *found, tables.get(neurons[explanation_id]))
        for explanation_id, found in scores.items()
    )
    copy_into(session, "score", _SCORE, rows)
    refresh_neurons(session, neuron_ids=list(neurons.values()))


def _neurons_of(session: Session, explanation_ids: Sequence[int]) -> dict[int, int]:
    """The neuron of each explanation."""
    rows = session.execute(
        select(Explanation.id, Explanation.neuron_id).where(Explanation.id == func.any(list(explanation_ids)))
    )
    return {row.id: row.neuron_id for row in rows}


def _token_tables(session: Session, collection_id: int, neuron_ids: Set[int]) -> dict[int, float]:
    """The correlation of each neuron's token table over the whole corpus, if it has one."""
    found = {}
    wanted = sorted(neuron_ids)
    for first in range(0, len(wanted), _TABLES_AT_ONCE):
        part = wanted[first : first + _TABLES_AT_ONCE]
        for neuron_id, reached in table_correlations(session, collection_id=collection_id, neuron_ids=part):
            found[neuron_id] = reached
    return found


def _score_row(
    collection_id: int, explanation_id: int, correlation: Measured, n_tokens: int, table: float | None
) -> tuple[int | str | float | None, ...]:
    """A score row: the correlation, without an interval since no token was left out; ``table`` is the token table's."""
    value, reason = correlation.value, correlation.undefined_reason
    baseline = None if reason == NOT_EXECUTABLE else table
    return (explanation_id, collection_id, EXECUTED, CORPUS, LEXICAL.name, value, reason, n_tokens, 0, baseline)
