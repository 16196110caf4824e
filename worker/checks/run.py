"""Check the executable explanations of a subject over the whole corpus of its newest collection."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.collections import CollectionStage
from app.errors import CollectionError
from app.queries.checks.store import (
    CheckedCollection,
    CheckResult,
    Moments,
    UncheckedExplanation,
    collection_to_check,
    neuron_moments,
    some_excerpts,
    store_checks,
    unchecked_explanations,
)
from app.queries.doubts.store import refresh_subject
from app.version import code_version
from worker.checks.checker import Executable
from worker.checks.passes import CheckPass
from worker.checks.publish import Finished
from worker.checks.state import CheckState, load_check
from worker.collection.cuts import kept_cut
from worker.collection.folder import WorkFolder, locked
from worker.collection.passes import BatchSize, Part
from worker.collection.plan import Cut, Excerpts, Plan, prepare, read_plan, write_durably
from worker.collection.publish import Identity, store_excerpts
from worker.collection.reporting import Pace, Progress, Tell, tell_nobody
from worker.collection.run import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS
from worker.corpora.documents import CorpusSource
from worker.lexical.parser import executable
from worker.subjects.loaded import LoadedSubject

STATE_VERSION = 1
"""Increased when unfinished checks of older code cannot be resumed."""
_COMPARED = 1000
"""Number of stored excerpts that are compared with a newly cut corpus."""
SHARD_EXCERPTS = 1024


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Options of a check. ``batch`` is in excerpts; None chooses by device."""

    slug: str
    corpus: CorpusSource | None = None
    """Where to read the corpus again; None if its cut was kept."""
    batch: int | None = None
    part: Part = field(default_factory=Part)
    restart: bool = False


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The outcome of a check. If not ``complete``, other parts are missing. ``n_unreadable`` texts make no claim."""

    complete: bool
    n_checked: int
    n_unreadable: int
    n_tokens: int


def check(
    sessions: Sessions, subject: LoadedSubject, folder: Path, options: CheckOptions, tell: Tell = tell_nobody
) -> CheckOutcome:
    """One pass of a subject that executes all explanations that have not been checked on its newest collection.

    ``folder`` is the folder of collections. It has the cut corpus and unfinished checks, so that the same call resumes
    a killed one with the same explanations. Doubts are recomputed at the end. Raises NotFound for a subject without a
    collection, CollectionError if its corpus is missing or has changed.
    """
    with transaction(sessions) as session:
        checked = collection_to_check(session, slug=options.slug)
    job = _Job(sessions, subject, folder, options, tell, checked)
    if options.restart:
        with job.folder.nobody_at_work():
            job.folder.remove()
    job.folder.finish_removing()
    with job.folder.at_work(options.part):
        outcome = job.go()
    if outcome.complete:
        # Also after a killed call: its stored checks are not found again, but doubts that follow from them may be
        # missing.
        refresh_subject(sessions, slug=options.slug)
    return outcome


class _Job:
    """One call of ``check``: its folder, its explanations, its progress."""

    def __init__(
        self,
        sessions: Sessions,
        subject: LoadedSubject,
        folder: Path,
        options: CheckOptions,
        tell: Tell,
        checked: CheckedCollection,
    ) -> None:
        self._sessions, self._subject, self._folder = sessions, subject, folder
        self._options, self._tell, self._checked = options, tell, checked
        self.folder = WorkFolder(folder / f"check-{checked.collection_id}-{STATE_VERSION}")
        self.home = self.folder.home

    def go(self) -> CheckOutcome:
        """Run this part's pass, and store the results once every part is complete."""
        explanations, unreadable = self._explanations()
        if not explanations and not unreadable:
            return self._leave(0, 0)
        if not explanations:
            with transaction(self._sessions) as session:
                self._store(session, (), unreadable)
            return self._leave(0, len(unreadable))
        cut, plan = self._cut()
        work, moments = self._pass(cut, plan, explanations)
        pace = Pace(self._tell, CollectionStage.CHECK, total=plan.tokens, collection_id=self._checked.collection_id)
        state = work.run(self._options.part, self.home, pace)
        with locked(self.home / "publish.lock", wait=True):
            if not (self.home / "explanations.json").exists():
                return self._leave(0, len(unreadable))  # another part has stored it all
            state = self._with_other_parts(state, work)
            if len(state.shards) < plan.n_shards:
                return CheckOutcome(False, 0, len(unreadable), plan.tokens)
            self._tell(Progress(CollectionStage.STORE, 0, 0))
            finished = Finished(state, explanations, moments, work.excerpts, self._subject.vocabulary)
            with transaction(self._sessions) as session:
                n_checked = self._store(session, self._results(session, finished), unreadable)
        return self._leave(n_checked, len(unreadable))

    def _explanations(self) -> tuple[list[Executable], list[int]]:
        """The explanations of this check, the same for all parts and calls; and ids of texts that make no claim."""
        file = self.home / "explanations.json"
        with locked(self.home / "begin.lock", wait=True):
            if not file.exists():
                with transaction(self._sessions) as session:
                    found = unchecked_explanations(
                        session, subject_id=self._checked.subject_id, collection_id=self._checked.collection_id
                    )
                write_durably(file, json.dumps([asdict(e) for e in found]).encode())
            rows = [UncheckedExplanation(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
        read = [(row, executable(row.text)) for row in rows]
        own = [Executable(row.id, row.layer, row.index, clauses) for row, clauses in read if clauses]
        return own, [row.id for row, clauses in read if not clauses]

    def _cut(self) -> tuple[Path, Plan]:
        """The collection's excerpts: the kept cut, or the corpus cut again."""
        checked = self._checked
        kept = kept_cut(
            self._folder,
            corpus_digest=checked.corpus_digest,
            tokenizer_digest=checked.tokenizer_digest,
            context_length=checked.context_length,
            n_excerpts=checked.n_excerpts,
        )
        if (kept / "plan.json").exists():
            return kept, read_plan(kept)
        if self._options.corpus is None:
            raise CollectionError(
                f"The text of this collection is not kept on this machine. Name its corpus, {checked.corpus}: --corpus."
            )
        cut = Cut(checked.context_length, checked.n_excerpts * checked.context_length, SHARD_EXCERPTS)
        home = self.home / "cut"
        with locked(self.home / "begin.lock", wait=True):
            plan = prepare(
                home,
                self._options.corpus,
                self._subject.encode,
                cut,
                lambda n: self._tell(Progress(CollectionStage.CUT, n, 0)),
            )
            self._compare(Excerpts(home, plan), plan)
        return home, plan

    def _compare(self, excerpts: Excerpts, plan: Plan) -> None:
        """Raise CollectionError if the text is not the collected one."""
        with transaction(self._sessions) as session:
            stored = some_excerpts(session, checked=self._checked, limit=_COMPARED)
        positions = excerpts.positions(np.arange(plan.n_excerpts))
        ordinals = {position: ordinal for ordinal, position in enumerate(map(tuple, positions.tolist()))}
        for document, position, token_ids in stored:
            ordinal = ordinals.get((document, position))
            same = ordinal is not None and np.array_equal(excerpts.tokens(np.array([ordinal]))[0], token_ids)
            if not same or plan.n_excerpts != self._checked.n_excerpts:
                raise CollectionError(
                    f"This corpus is not the text that was collected: document {document + 1} differs. Collect it "
                    "again, or name the corpus as it was."
                )

    def _pass(self, cut: Path, plan: Plan, explanations: list[Executable]) -> tuple[CheckPass, Moments]:
        shape = (self._checked.n_layers, self._checked.neurons_per_layer)
        with transaction(self._sessions) as session:
            moments = neuron_moments(session, subject_id=self._checked.subject_id, shape=shape)
        gpu = self._subject.device.type != "cpu"
        batch = self._options.batch or max(1, (GPU_BATCH_TOKENS if gpu else CPU_BATCH_TOKENS) // plan.context_length)
        work = CheckPass(
            forward=self._subject.activations,
            plan=plan,
            excerpts=Excerpts(cut, plan),
            explanations=explanations,
            maxima=np.nan_to_num(moments.maximum),
            vocabulary=self._subject.vocabulary,
            batch=BatchSize(batch),
        )
        return work, moments

    def _with_other_parts(self, state: CheckState, work: CheckPass) -> CheckState:
        part = self._options.part
        for number in range(part.of):
            other = None if number == part.number else load_check(Part(number, part.of).file(self.home), work.shape)
            if other is not None:
                state.merge(other)
        return state

    def _results(self, session: Session, finished: Finished) -> Iterator[CheckResult]:
        """The results to store of each explanation; the excerpts that they refer to are stored first."""
        checked = self._checked
        identity = Identity(checked.collection_id, checked.subject_id, checked.corpus_id, checked.tokenizer_id)
        ordinals = finished.ordinals()
        ids: dict[int, int] = {}
        if ordinals.size:
            stored, excerpt_ids = store_excerpts(session, finished.excerpts, ordinals, identity)
            ids = dict(zip(stored.tolist(), excerpt_ids.tolist(), strict=True))
        return finished.results(ids)

    def _store(self, session: Session, results: Iterable[CheckResult], unreadable: list[int]) -> int:
        return store_checks(
            session, checked=self._checked, results=results, unreadable=unreadable, code_version=code_version()
        )

    def _leave(self, n_checked: int, n_unreadable: int) -> CheckOutcome:
        """Remove the files that only an unfinished check needs."""
        self.folder.remove()
        n_tokens = self._checked.n_excerpts * self._checked.context_length
        return CheckOutcome(True, n_checked, n_unreadable, n_tokens)
