"""The handler of runs: read the neuron, run the method, store the results behind the fence."""

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.activations import NeuronRecords
from app.domain.authors import AuthorKind
from app.domain.events import EventKind
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import steps_of
from app.domain.steps.scored_records import NEIGHBOURS_COMPARED
from app.domain.tokens import Vocabulary
from app.errors import MethodError, NoExplanation
from app.queries.explanations.changes import note_copy
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import (
    Author,
    GivenText,
    add_results,
    has_scores,
    same_text,
    store_candidates,
    text_to_score,
)
from app.queries.history.events import record_event
from app.queries.methods.definitions import method_definition
from app.queries.neurons.location import NeuronAddress, nearest_neurons, neuron_address, neuron_peer
from app.queries.neurons.records import records_of_neurons
from app.work.lease import RunLease
from worker.method.contracts import NeuronTask, Services
from worker.method.pipeline import Report, run_method
from worker.method.registry import build_method
from worker.run.held import Done, HeldWork
from worker.run.vocabularies import Vocabularies, biggest_token, records_in

Work: TypeAlias = Callable[[NeuronTask, Report], tuple[ExplanationResult, ...]]
"""A method that is ready to run: returns all candidates for one neuron."""
BuildWork: TypeAlias = Callable[[MethodDefinition], Work]


def build_work(definition: MethodDefinition) -> Work:
    """A method of the registry, ready to run. Raises MethodError for steps that do not exist."""
    method = build_method(definition, Services())
    return lambda task, report: run_method(method, task, report)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a run read from the database; the work itself makes no queries."""

    task: NeuronTask
    neuron: NeuronAddress
    definition: MethodDefinition
    work: Work
    given: GivenText | None = None
    """The explanation to score; None if the run is to explain."""


class RunHandler:
    """Does runs. Methods with their models, and vocabularies, are cached between runs; threads share it."""

    def __init__(self, sessions: Sessions, build: BuildWork) -> None:
        self._sessions = sessions
        self._build = build
        self._lock = threading.Lock()
        self._works: dict[int, tuple[MethodDefinition, Work]] = {}
        self._vocabularies = Vocabularies()

    def __call__(self, held: HeldWork[RunLease]) -> Done:
        """Return the candidates of one run, ready to store. Raises the method's errors, NotFound, MethodError."""
        prepared = held.through_outages(partial(self.prepare, held.lease))
        held.doing = f"{prepared.neuron.subject} {prepared.neuron.layer}/{prepared.neuron.index}"
        results = work_on(prepared, held.report)
        return Done(store=partial(store_results, lease=held.lease, prepared=prepared, results=results))

    def prepare(self, lease: RunLease) -> Prepared:
        """Read the run's neuron, and its method unless that is cached.

        Raises NotFound, and MethodError if the method cannot be built.
        """
        definition, work = self._method(lease.method_id)
        with transaction(self._sessions) as session:
            neuron = neuron_address(session, neuron_id=lease.neuron_id)
            task = self._task(session, neuron, definition)
            given = text_to_score(session, run_id=lease.id)
        task = replace(task, run_id=lease.id, text=None if given is None else given.text)
        return Prepared(task, neuron, definition, work, given)

    def _method(self, method_id: int) -> tuple[MethodDefinition, Work]:
        with self._lock:
            if method_id not in self._works:
                with transaction(self._sessions) as session:
                    definition = method_definition(session, method_id=method_id)
                self._works[method_id] = (definition, self._build(definition))
            return self._works[method_id]

    def _task(self, session: Session, neuron: NeuronAddress, definition: MethodDefinition) -> NeuronTask:
        seed = int(definition.parameters.get("seed", 0))
        own_seed = zlib.crc32(f"{neuron.subject}/{neuron.layer}/{neuron.index}/{seed}".encode())
        start = int(np.random.default_rng(own_seed).integers(neuron.neurons_per_layer))
        peer = neuron_peer(session, of=neuron, start=start)
        near = nearest_neurons(session, of=neuron, n=NEIGHBOURS_COMPARED) if _needs_neighbours(definition) else []
        read = {m.neuron_id: m for m in (neuron.measured, *(() if peer is None else (peer,)), *near)}
        records = records_of_neurons(session, neurons=list(read.values()), collection_id=neuron.collection_id)
        words = self._vocabularies.get(
            session, tokenizer_id=neuron.tokenizer_id, biggest_token=biggest_token(records_in(records.values()))
        )
        for own in records.values():
            _refuse_unknown_tokens(own, words)
        return NeuronTask(
            neuron_id=neuron.neuron_id,
            subject=neuron.subject,
            layer=neuron.layer,
            index=neuron.index,
            records=records[neuron.neuron_id],
            vocabulary=words,
            peer=None if peer is None else records[peer.neuron_id],
            seed=own_seed,
            neighbours=tuple(records[m.neuron_id] for m in near),
            collection_id=neuron.collection_id,
            site=neuron.site,
        )


def _needs_neighbours(definition: MethodDefinition) -> bool:
    """Whether a scorer compares with similar neurons. Unknown steps are refused when the method is built."""
    try:
        return steps_of(definition).needs_neighbours
    except UnknownStep:
        return False


def _refuse_unknown_tokens(records: NeuronRecords, words: Vocabulary) -> None:
    """Raises MethodError if an excerpt, for example an imported one, has tokens that the vocabulary lacks."""
    highest = biggest_token(records_in([records]))
    if highest >= len(words):
        raise MethodError(
            f"An excerpt holds the token {highest}; the vocabulary of this model's tokenizer ends at {len(words) - 1}."
        )


def store_results(
    session: Session, *, lease: RunLease, prepared: Prepared, results: tuple[ExplanationResult, ...]
) -> None:
    """Store a run's candidates, or its results for the explanation that it was to score.

    Must be called in the transaction that ends the run.
    """
    author = Author(
        kind=AuthorKind.METHOD,
        name=prepared.definition.name,
        method_id=lease.method_id,
        run_id=lease.id,
        collection_id=prepared.neuron.collection_id,
    )
    ids, scoring = _stored(session, lease, prepared, results, author)
    refresh_current(session, neuron_id=lease.neuron_id)
    record_event(
        session,
        kind=EventKind.RUN_SUCCEEDED,
        subject_id=prepared.neuron.subject_id,
        neuron_id=lease.neuron_id,
        detail={
            "run_id": lease.id,
            "batch_id": lease.batch_id,
            "method": prepared.definition.name,
            "explanation_ids": ids,
            **scoring,
        },
    )


def _stored(
    session: Session, lease: RunLease, prepared: Prepared, results: tuple[ExplanationResult, ...], author: Author
) -> tuple[list[int], dict[str, Any]]:
    """The ids of the explanations that have results now, and the event's detail for a scored explanation."""
    neuron_id, given = prepared.neuron.neuron_id, prepared.given
    if given is None:
        copied = None if prepared.definition.has_chance else _copied(session, lease, results[0], author)
        if copied is not None:
            return [copied], {"same_as": copied}
        return store_candidates(session, neuron_id=neuron_id, results=results, author=author), {}
    for result in results:
        add_results(session, explanation_id=given.explanation_id, result=result, author=author)
    # An explanation is never updated, so the run stores the provenance of its scores.
    return [given.explanation_id], {"provenance": dict(results[0].provenance)}


def _copied(session: Session, lease: RunLease, result: ExplanationResult, author: Author) -> int | None:
    """The explanation whose text the run has given again; None if it gave another text.

    A method without randomness that gives a text again has added nothing. Only scores that differ are stored, such as
    those of a newer scorer.
    """
    same = same_text(session, neuron_id=lease.neuron_id, text=result.text, author=author)
    if same is None:
        return None
    if not has_scores(session, explanation_id=same, result=result):
        add_results(session, explanation_id=same, result=result, author=author)
    note_copy(session, run_id=lease.id, batch_id=lease.batch_id, explanation_id=same)
    return same


def work_on(prepared: Prepared, report: Report) -> tuple[ExplanationResult, ...]:
    """The method's candidates for the run's neuron.

    Raises NoExplanation, MethodError, ProviderError, and the errors of ``report``.
    """
    results = prepared.work(prepared.task, report)
    if not results:
        raise NoExplanation("No explanation found: the method has named none.")
    return results
