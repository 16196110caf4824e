"""Collect a subject over a corpus, from text to rows: what the command line, the demo and tests call."""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from torch import Tensor

from app.db import Sessions, transaction
from app.domain.collections import CollectionStage, CollectionStatus
from app.domain.slugs import is_slug
from app.errors import CollectionError, DomainError, Invalid
from app.queries.subjects import collection_state as state
from app.queries.subjects.registration import (
    null_twin_values,
    register_corpus,
    register_subject,
    register_tokenizer,
)
from app.version import code_version
from app.work.checks import enqueue_check_of_new_collection
from worker.collection.bounds import NotFinite
from worker.collection.checkpoint import load_state, read_tensors, write_tensors
from worker.collection.cuts import keep_cut
from worker.collection.folder import WorkFolder, locked
from worker.collection.group import ALONE, Group
from worker.collection.left_out import storable
from worker.collection.lookalikes import find_lookalikes, lookalike_size
from worker.collection.passes import BatchSize, Part, Pass
from worker.collection.plan import Cut, Excerpts, Plan, prepare
from worker.collection.publish import Finished, Identity, publish
from worker.collection.reporting import Pace, Progress, Tell, tell_nobody
from worker.collection.sampling import Sampling
from worker.collection.state import POOLS, Shape, State
from worker.collection.token_sums import GIGABYTES, token_rows
from worker.corpora.documents import CorpusSource
from worker.devices import device_name
from worker.subjects.input_weights import input_weights
from worker.subjects.loaded import LoadedSubject
from worker.subjects.null_twin import permuted_digest

STATE_VERSION = 4
"""Increased when unfinished collections of older code cannot be resumed."""
NOT_IDENTIFYING = ("batch", "part", "restart", "group")
"""Options that may differ when an unfinished collection is resumed."""
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 32768


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Options of a collection. ``batch`` is in excerpts; None chooses by device."""

    slug: str
    context_length: int = 64
    max_tokens: int | None = None
    seed: int = 0
    batch: int | None = None
    shard_excerpts: int = 1024
    part: Part = field(default_factory=Part)
    restart: bool = False
    token_memory: float = GIGABYTES
    """Gigabytes for the sums of activations by neuron and token; see ``token_sums``."""
    name: str | None = None
    """The subject's name on pages; None keeps the model's."""
    null_twin_of: str | None = None
    """The slug of the subject of which this is the null twin."""
    group: Group = ALONE
    """The processes that collect together; ``in_group`` sets it, and the part."""

    def __post_init__(self) -> None:
        if not is_slug(self.slug):
            raise Invalid(
                f"{self.slug!r} cannot be part of an address: choose a --slug of a-z, 0-9, '.', '_' and '-' that is "
                "not the name of a page."
            )

    def in_group(self, group: Group) -> "CollectOptions":
        """The options for one process of a group, with its part."""
        return replace(self, group=group, part=group.part) if group.size > 1 else self


@dataclass(frozen=True, slots=True)
class CollectionOutcome:
    """The result of a collection. ``complete`` is False while other parts of it are missing."""

    collection_id: int
    complete: bool
    tokens: int
    notes: tuple[str, ...]


def collect(
    sessions: Sessions,
    subject: LoadedSubject,
    corpus: CorpusSource,
    folder: Path,
    options: CollectOptions,
    tell: Tell = tell_nobody,
) -> CollectionOutcome:
    """Run one pass of a subject over a corpus, and store the result when it is complete.

    Every process of ``options.group`` calls this with the same arguments; each does its part, and the first one stores.

    ``folder`` keeps unfinished collections: the same call resumes where a killed one stopped, to the same result.
    Raises CorpusError for too little text, CollectionError for errors that stop a pass, Conflict for a slug that
    belongs to another model. A failed pass is marked as failed and never shown.
    """
    check_context(options.context_length, has_bos=subject.bos_id is not None, max_positions=subject.max_positions)
    group = options.group
    job = _Job(sessions, subject, corpus, folder, options, tell)
    earlier = group.from_first(job.look_back)
    if earlier is not None:
        return earlier
    with job.folder.at_work(options.part):
        plan, identity = job.begin_together()
        if group.from_first(lambda: job.is_complete(identity)):
            return job.leave_together(identity, plan, job.notes(plan))
        try:
            return job.go(plan, identity)
        except NotFinite as error:
            advised = CollectionError(f"{error} {subject.why_not_finite()}")
            job.fail(identity, advised)
            raise advised from error
        except (DomainError, OSError, RuntimeError, SQLAlchemyError) as error:
            job.fail(identity, error)
            raise


class _Job:
    """One call of ``collect``: its folder, its rows, its progress."""

    def __init__(
        self,
        sessions: Sessions,
        subject: LoadedSubject,
        corpus: CorpusSource,
        folder: Path,
        options: CollectOptions,
        tell: Tell,
    ) -> None:
        self._sessions, self._subject, self._corpus = sessions, subject, corpus
        self._options, self._tell, self._group = options, tell, options.group
        self.folder = WorkFolder(folder / self._fingerprint())
        self.home = self.folder.home

    def _fingerprint(self) -> str:
        """A digest of the arguments, equal for equal commands, by which unfinished work is found again."""
        names = [each.name for each in fields(self._options) if each.name not in NOT_IDENTIFYING]
        options = {name: getattr(self._options, name) for name in names}
        tokenizer = self._subject.vocabulary.digest
        identity = [
            STATE_VERSION,
            self._subject_values(),
            tokenizer,
            self._corpus.source,
            self._corpus.name,
            options,
        ]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def _subject_values(self) -> dict[str, Any]:
        """The subject's columns."""
        info = self._subject.info
        return asdict(info) | {"site": info.site.as_json()}

    def look_back(self) -> CollectionOutcome | None:
        """Finish or discard unfinished work of an earlier call; returns its outcome if it was complete."""
        if self._options.restart:
            self.forget()
        return self.finish_leaving()

    def forget(self) -> None:
        """Remove an earlier call's work, and mark its collection as failed.

        Raises CollectionError if a process is collecting it.
        """
        with self.folder.nobody_at_work():
            key = self.folder.key
            with transaction(self._sessions) as session:
                begun = None if key is None else state.begun_collection(session, key=key)
                if begun is not None:
                    state.fail_collection(
                        session, collection_id=begun.collection_id, error="It was begun again from the start."
                    )
            self.folder.remove()

    def finish_leaving(self) -> CollectionOutcome | None:
        """Finish an earlier call that was killed after storing its collection; returns its outcome, if there is one.

        The folder of such a call is already renamed for its removal.
        """
        outcome = None
        for key in self.folder.removed_keys:
            with transaction(self._sessions) as session:
                found = state.completed_collection(session, key=key)
            if found is not None:
                outcome = CollectionOutcome(found.collection_id, complete=True, tokens=found.tokens, notes=found.notes)
        self.folder.finish_removing()
        return outcome

    def begin_together(self) -> tuple[Plan, Identity]:
        """Begin in the first process; the others use its rows, with their own cut if disks differ.

        Raises CollectionError if a process reads another text.
        """
        plan, identity = self._group.from_first(self.begin)
        if self._group.rank > 0:
            with locked(self.home / "begin.lock", wait=True):
                mine = self._cut()
            if mine != plan:
                raise CollectionError(f"Process {self._group.rank} reads another text than the first one: {mine.notes}")
        return plan, identity

    def _cut(self) -> Plan:
        options = self._options
        cut = Cut(options.context_length, options.max_tokens, options.shard_excerpts)
        tell = self._tell
        return prepare(
            self.home, self._corpus, self._subject.encode, cut, lambda n: tell(Progress(CollectionStage.CUT, n, 0))
        )

    def begin(self) -> tuple[Plan, Identity]:
        """Cut the corpus and store the running collection, unless an earlier call did."""
        with locked(self.home / "begin.lock", wait=True):
            plan = self._cut()
            key = self.folder.key or self.folder.make_key()
            with transaction(self._sessions) as session:
                begun = state.begun_collection(session, key=key)
                if begun is None:
                    return plan, self._register(session, plan, key)
                state.resume_collection(session, collection_id=begun.collection_id)
                return plan, Identity(**asdict(begun))

    def _register(self, session: Session, plan: Plan, key: uuid.UUID) -> Identity:
        subject, options = self._subject, self._options
        values = self._subject_values()
        if options.name is not None:
            values["name"] = options.name
        tokenizer_id = register_tokenizer(session, name=subject.info.name, vocabulary=subject.vocabulary)
        if options.null_twin_of is not None:
            values |= null_twin_values(
                session,
                of_slug=options.null_twin_of,
                tokenizer_id=tokenizer_id,
                values=values,
                permuted_digest=partial(permuted_digest, seed=subject.info.permutation_seed or 0),
            )
        subject_id = register_subject(session, slug=options.slug, tokenizer_id=tokenizer_id, values=values)
        corpus_id = register_corpus(
            session, digest=plan.corpus_digest, name=self._corpus.name, source=self._corpus.source
        )
        collection_id = state.start_collection(
            session,
            key=key,
            subject_id=subject_id,
            corpus_id=corpus_id,
            context_length=options.context_length,
            seed=options.seed,
            dtype=subject.info.dtype,
            device=device_name(subject.device),
            code_version=code_version(),
            tokens_planned=plan.tokens,
            notes=list(self.notes(plan)),
        )
        return Identity(collection_id, subject_id, corpus_id, tokenizer_id)

    def is_complete(self, identity: Identity) -> bool:
        """Whether an earlier call or another part has stored the complete collection."""
        with transaction(self._sessions) as session:
            return state.collection_status(session, collection_id=identity.collection_id) == CollectionStatus.COMPLETE

    def go(self, plan: Plan, identity: Identity) -> CollectionOutcome:
        """Run the pass of this part, and store the collection if all parts are complete."""
        work = self._pass(plan)
        found_first = self._group.from_first(lambda: self._bounds(work, identity))
        bounds = {name: tensor.to(work.device) for name, tensor in found_first.items()}
        pace = self._pace(CollectionStage.COLLECT, plan.tokens, identity)
        merged = self._group.merged(work.run(bounds, self._options.part, self.home, pace))
        if merged is None:  # the first process stores it
            return self.leave_together(identity, plan, self.notes(plan))
        with locked(self.home / "publish.lock", wait=True):
            if self.is_complete(identity):
                return self.leave_together(identity, plan, self.notes(plan))
            found = merged if self._group.size > 1 else self._with_other_parts(merged)
            if len(found.shards) < plan.n_shards:
                return CollectionOutcome(
                    identity.collection_id, complete=False, tokens=plan.tokens, notes=self.notes(plan)
                )
            n_looked_at = plan.context_length * lookalike_size(plan.n_excerpts)
            pace = self._pace(CollectionStage.LOOK, n_looked_at, identity)
            finished = Finished(found, bounds, work, input_weights=partial(input_weights, self._subject))
            lookalikes = find_lookalikes(work, finished.draw, self._options.seed, pace)
            notes = (*self.notes(plan), *self._notes(work, found))
            finished = replace(finished, lookalikes=lookalikes)
            pace = self._pace(CollectionStage.STORE, self._subject.info.n_layers, identity)
            with transaction(self._sessions) as session:
                publish(session, finished, identity, list(notes), pace)
                enqueue_check_of_new_collection(session, slug=self._options.slug)
        return self.leave_together(identity, plan, notes)

    def _pace(self, stage: CollectionStage, total: int, identity: Identity) -> Pace:
        """Begin a stage and report its progress."""
        pace = Pace(self._tell, stage, total=total, collection_id=identity.collection_id)
        pace(0)
        return pace

    def _pass(self, plan: Plan) -> Pass:
        subject, options = self._subject, self._options
        gpu = subject.device.type != "cpu"
        batch = options.batch or max(1, (GPU_BATCH_TOKENS if gpu else CPU_BATCH_TOKENS) // plan.context_length)
        excerpts, n_layers, neurons = Excerpts(self.home, plan), subject.info.n_layers, subject.info.neurons_per_layer
        rows = token_rows(excerpts, plan, n_neurons=n_layers * neurons, gigabytes=options.token_memory)
        return Pass(
            forward=subject.activations,
            plan=plan,
            excerpts=excerpts,
            shape=Shape(n_layers, neurons, plan.context_length, rows.n_rows),
            sampling=Sampling.of(options.seed, plan.n_excerpts),
            token_rows=rows,
            batch=BatchSize(batch),
            # Apple's GPUs have no float64, which the sums need, so only the model runs there.
            device=torch.device("cpu") if subject.device.type == "mps" else subject.device,
        )

    def _bounds(self, work: Pass, identity: Identity) -> dict[str, Tensor]:
        """The pilot's bounds. All parts and later calls use the first ones."""
        file = self.home / "bounds.bin"
        with locked(self.home / "begin.lock", wait=True):
            if not file.exists():
                pace = self._pace(CollectionStage.PILOT, work.plan.context_length * work.pilot_size, identity)
                write_tensors(file, work.pilot(pace), {})
            return read_tensors(file, torch.device("cpu"))[0]

    def _with_other_parts(self, mine: State) -> State:
        part = self._options.part
        for number in range(part.of):
            if number != part.number:
                other = load_state(Part(number, part.of).file(self.home), torch.device("cpu"))
                if other is not None:
                    mine = mine.to(torch.device("cpu"))
                    mine.merge(other)
        return mine

    def _notes(self, work: Pass, found: State) -> Iterator[str]:
        if work.batch.halved:
            yield f"memory ran out: the batch was halved {work.batch.halved} times, to {work.batch.excerpts} excerpts"
        if any(bool(torch.isinf(found.best(pool).values).any()) for pool in POOLS):
            yield "activations beyond 65,504 stand as 65,504 in samples; peaks and statistics are right"
        if work.sampling.histogram_every > 1:
            yield f"histograms count every token of one excerpt in {work.sampling.histogram_every}, chosen by hash"
        rows = work.token_rows
        if not rows.is_whole:
            yield (
                f"token means are known for the {len(rows.token_ids)} most frequent tokens, each of which occurs "
                f"{rows.counts[-1]} times or more; the memory given holds no more of them (--token-memory)"
            )

    def fail(self, identity: Identity, error: Exception) -> None:
        """Mark the collection as failed, unless the database itself is what failed."""
        with contextlib.suppress(SQLAlchemyError), transaction(self._sessions) as session:
            state.fail_collection(session, collection_id=identity.collection_id, error=storable(str(error)))

    def notes(self, plan: Plan) -> tuple[str, ...]:
        """Notes about weights and corpus that are known before the pass."""
        return (*self._subject.notes, *plan.notes)

    def leave_together(self, identity: Identity, plan: Plan, notes: tuple[str, ...]) -> CollectionOutcome:
        """Return the complete collection in every process of the group; the others wait for the first."""
        if self._group.rank == 0:
            outcome = self.leave(identity, plan, notes)
            self._group.wait()
            return outcome
        self._group.wait()
        self.folder.remove()  # if it is on another disk than the first process's
        return CollectionOutcome(identity.collection_id, complete=True, tokens=plan.tokens, notes=notes)

    def leave(self, identity: Identity, plan: Plan, notes: tuple[str, ...]) -> CollectionOutcome:
        """Return the complete collection: keep its cut for later passes, and remove the rest of the folder."""
        keep_cut(self.home, plan, self._subject.vocabulary.digest)
        self.folder.remove()
        return CollectionOutcome(identity.collection_id, complete=True, tokens=plan.tokens, notes=notes)


def check_context(context_length: int, *, has_bos: bool, max_positions: int | None) -> None:
    """Raise CollectionError for excerpts that are too long for the model, BOS included."""
    needed = context_length + has_bos
    if context_length < 1 or (max_positions is not None and needed > max_positions):
        raise CollectionError(f"The model takes 1 to {max_positions} tokens at once, not {needed}.")
