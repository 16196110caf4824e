"""Collect a subject over a corpus, from text to rows: what the command line, the demo and tests call."""

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

import torch
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from torch import Tensor

from app.db import Sessions, transaction
from app.domain.collections import CollectionStatus
from app.domain.slugs import is_slug
from app.errors import CollectionError, DomainError, Invalid
from app.queries.subjects import collections as stored
from app.queries.subjects.registration import (
    null_twin_values,
    register_corpus,
    register_subject,
    register_tokenizer,
)
from app.version import code_version
from worker.collection.bounds import NotFinite
from worker.collection.checkpoint import load_state, read_tensors, write_tensors
from worker.collection.lookalikes import find_lookalikes
from worker.collection.passes import BatchSize, Part, Pass
from worker.collection.plan import Cut, Excerpts, Plan, prepare, write_durably
from worker.collection.publish import Finished, Identity, publish
from worker.collection.sampling import Sampling
from worker.collection.state import Shape, State
from worker.corpora.documents import CorpusSource
from worker.subjects.loaded import LoadedSubject

REPORT_SECONDS = 2.0
STATE_VERSION = 3
"""Raised when unfinished collections of older code can not be gone on with."""
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 32768


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How to collect. ``batch`` is in excerpts; None chooses by device."""

    slug: str
    context_length: int = 64
    max_tokens: int | None = None
    seed: int = 0
    batch: int | None = None
    shard_excerpts: int = 1024
    part: Part = field(default_factory=Part)
    restart: bool = False
    name: str | None = None
    """The subject's name on pages; None keeps the model's."""
    null_twin_of: str | None = None
    """The slug of the subject whose control this is."""

    def __post_init__(self) -> None:
        if not is_slug(self.slug):
            raise Invalid(
                f"{self.slug!r} cannot stand in an address: choose a --slug of a-z, 0-9, '.', '_' and '-' that is not "
                "the name of a page."
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a collection is: ``cut``, ``pilot``, ``pass``, ``look`` or ``store``. A ``total`` of 0 is unknown."""

    stage: str
    tokens: int
    total: int
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. Not ``complete``: other parts are still missing."""

    collection_id: int
    complete: bool
    tokens: int
    notes: tuple[str, ...]


Tell: TypeAlias = Callable[[Progress], None]


def tell_nobody(_: Progress) -> None:
    """For callers who do not look."""


def collect(
    sessions: Sessions,
    subject: LoadedSubject,
    corpus: CorpusSource,
    folder: Path,
    options: CollectOptions,
    tell: Tell = tell_nobody,
) -> Outcome:
    """One pass of a subject over a corpus, stored when it is whole.

    ``folder`` keeps unfinished collections: the same call goes on where a killed one was, to the same
    result. Raises CorpusError for too little text, CollectionError for what stops a pass, Conflict for
    a slug that belongs to another model. A pass that fails is marked so and never shown.
    """
    _check_context(subject, options.context_length)
    job = _Job(sessions, subject, corpus, folder, options, tell)
    if options.restart:
        shutil.rmtree(job.home, ignore_errors=True)
    job.home.mkdir(parents=True, exist_ok=True)
    with _locked(job.home / f"part-{options.part.number}-of-{options.part.of}.lock"):
        plan, identity = job.begin()
        if job.is_complete(identity):
            return job.leave(identity, plan, complete=True)
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
        self._options, self._tell = options, tell
        self.home = folder / self._fingerprint()

    def _fingerprint(self) -> str:
        """The same for the same command, so that it finds what it left."""
        options = {k: v for k, v in asdict(self._options).items() if k not in ("batch", "part", "restart")}
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

    def begin(self) -> tuple[Plan, Identity]:
        """Cut the corpus and store the running collection, unless an earlier call has."""
        options = self._options
        cut = Cut(options.context_length, options.max_tokens, options.shard_excerpts)
        with _locked(self.home / "begin.lock", wait=True):
            plan = prepare(
                self.home, self._corpus, self._subject.encode, cut, lambda n: self._tell(Progress("cut", n, 0))
            )
            file = self.home / "collection.json"
            known = Identity(**json.loads(file.read_text())) if file.exists() else None
            with transaction(self._sessions) as session:
                if known and stored.collection_status(session, collection_id=known.collection_id):
                    stored.resume_collection(session, collection_id=known.collection_id)
                    return plan, known
                identity = self._register(session, plan)
            write_durably(file, json.dumps(asdict(identity)).encode())
            return plan, identity

    def _register(self, session: Session, plan: Plan) -> Identity:
        subject, options = self._subject, self._options
        named: dict[str, Any] = {} if options.name is None else {"name": options.name}
        if options.null_twin_of is not None:
            named |= null_twin_values(session, of_slug=options.null_twin_of)
        tokenizer_id = register_tokenizer(session, name=subject.info.name, vocabulary=subject.vocabulary)
        subject_id = register_subject(
            session, slug=options.slug, tokenizer_id=tokenizer_id, values=self._subject_values() | named
        )
        corpus_id = register_corpus(
            session, digest=plan.corpus_digest, name=self._corpus.name, source=self._corpus.source
        )
        collection_id = stored.start_collection(
            session,
            subject_id=subject_id,
            corpus_id=corpus_id,
            context_length=options.context_length,
            seed=options.seed,
            dtype=subject.info.dtype,
            device=str(subject.device),
            code_version=code_version(),
            tokens_planned=plan.tokens,
            notes=[*subject.notes, *plan.notes],
        )
        return Identity(collection_id, subject_id, corpus_id, tokenizer_id)

    def is_complete(self, identity: Identity) -> bool:
        """Whether an earlier call, or another part, has stored it all."""
        with transaction(self._sessions) as session:
            return stored.collection_status(session, collection_id=identity.collection_id) == CollectionStatus.COMPLETE

    def go(self, plan: Plan, identity: Identity) -> Outcome:
        """The pass of this part; and the storing, where all parts are there."""
        work = self._pass(plan)
        bounds = self._bounds(work)
        pace = _Pace(self._sessions, identity.collection_id, plan.tokens, self._tell, alone=self._options.part.of == 1)
        state = work.run(bounds, self._options.part, self.home, pace.tell)
        with _locked(self.home / "publish.lock", wait=True):
            if self.is_complete(identity):
                return self.leave(identity, plan, complete=True)
            state = self._with_other_parts(state)
            if len(state.shards) < plan.n_shards:
                return Outcome(identity.collection_id, complete=False, tokens=plan.tokens, notes=plan.notes)
            self._tell(Progress("look", plan.tokens, plan.tokens))
            lookalikes = find_lookalikes(work, state, self._options.seed)
            self._tell(Progress("store", plan.tokens, plan.tokens))
            notes = [*self._subject.notes, *plan.notes, *self._notes(work, state)]
            with transaction(self._sessions) as session:
                publish(session, Finished(state, bounds, work.excerpts, lookalikes), identity, notes)
        return self.leave(identity, plan, complete=True)

    def _pass(self, plan: Plan) -> Pass:
        subject, options = self._subject, self._options
        gpu = subject.device.type != "cpu"
        batch = options.batch or max(1, (GPU_BATCH_TOKENS if gpu else CPU_BATCH_TOKENS) // plan.context_length)
        return Pass(
            forward=subject.activations,
            plan=plan,
            excerpts=Excerpts(self.home, plan),
            shape=Shape(subject.info.n_layers, subject.info.neurons_per_layer, plan.context_length),
            sampling=Sampling.of(options.seed, plan.n_excerpts),
            batch=BatchSize(batch),
            # Apple's GPUs have no float64, which sums need: there only the model runs on them.
            device=torch.device("cpu") if subject.device.type == "mps" else subject.device,
        )

    def _bounds(self, work: Pass) -> dict[str, Tensor]:
        """The pilot's bounds: every part and every later call uses the ones that were found first."""
        file = self.home / "bounds.bin"
        with _locked(self.home / "begin.lock", wait=True):
            if not file.exists():
                self._tell(Progress("pilot", 0, work.plan.tokens))
                write_tensors(file, work.pilot(), {})
            return read_tensors(file, work.device)[0]

    def _with_other_parts(self, state: State) -> State:
        part = self._options.part
        for number in range(part.of):
            if number != part.number:
                other = load_state(Part(number, part.of).file(self.home), torch.device("cpu"))
                if other is not None:
                    state = state.to(torch.device("cpu"))
                    state.merge(other)
        return state

    def _notes(self, work: Pass, state: State) -> Iterator[str]:
        if work.batch.halved:
            yield f"memory ran out: the batch was halved {work.batch.halved} times, to {work.batch.excerpts} excerpts"
        if bool(torch.isinf(state.best.values).any()):
            yield "activations beyond 65,504 stand as 65,504 in samples; peaks and statistics are right"
        if work.sampling.histogram_every > 1:
            yield f"histograms count every token of one excerpt in {work.sampling.histogram_every}, chosen by hash"

    def fail(self, identity: Identity, error: Exception) -> None:
        """Mark the collection as failed; where the database is what failed, there is nothing to mark."""
        with contextlib.suppress(SQLAlchemyError), transaction(self._sessions) as session:
            stored.fail_collection(session, collection_id=identity.collection_id, error=str(error))

    def leave(self, identity: Identity, plan: Plan, *, complete: bool) -> Outcome:
        """Remove what only an unfinished collection needs."""
        shutil.rmtree(self.home, ignore_errors=True)
        return Outcome(identity.collection_id, complete, plan.tokens, plan.notes)


class _Pace:
    """Tells how fast it goes, and the database at most every two seconds."""

    def __init__(self, sessions: Sessions, collection_id: int, total: int, tell: Tell, *, alone: bool) -> None:
        self._sessions, self._collection_id, self._total, self._tell = sessions, collection_id, total, tell
        self._alone = alone
        self._first: tuple[float, int] | None = None
        self._reported = 0.0

    def tell(self, tokens: int) -> None:
        """``tokens`` have been taken in by this process."""
        now = monotonic()
        if self._first is None or tokens < self._first[1]:
            self._first = (now, tokens)
        begun, at = self._first
        speed = (tokens - at) / (now - begun) if tokens > at else None
        self._tell(Progress("pass", tokens, self._total, speed))
        if self._alone and now - self._reported >= REPORT_SECONDS:
            self._reported = now
            with transaction(self._sessions) as session:
                stored.report_progress(
                    session, collection_id=self._collection_id, tokens_done=tokens, tokens_per_second=speed
                )


def _check_context(subject: LoadedSubject, context_length: int) -> None:
    needed = context_length + (subject.bos_id is not None)
    if context_length < 1 or (subject.max_positions is not None and needed > subject.max_positions):
        raise CollectionError(f"The model takes 1 to {subject.max_positions} tokens at once, not {needed}.")


@contextlib.contextmanager
def _locked(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise CollectionError("Another process is at work on this very collection.") from error
        yield
