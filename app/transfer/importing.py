"""Import a source into a subject: chunk by chunk, each in one transaction with the position it reaches.

A process that dies loses the chunk that it was storing and nothing else: the next import of the same source into the
same collection resumes from the stored position, and stores nothing twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.imports import DataFormat, ImportCounts
from app.domain.slugs import is_slug
from app.domain.tokens import TokenForm
from app.errors import DomainError, Invalid
from app.formats.problems import ReadingProblem, Refuse
from app.formats.reader import Reader
from app.formats.records import NeuronRecord
from app.formats.registry import format_of, reader_of
from app.formats.sources.opening import is_address
from app.formats.sources.source import Position, Source
from app.queries.common.counting import compact_counts
from app.queries.doubts.store import refresh_subject
from app.queries.imports.explanations import longest_excerpt
from app.queries.imports.gaps import missing_files
from app.queries.imports.state import Advance, BegunImport, advance_import, begin_import, complete_import, fail_import
from app.queries.imports.store import ChunkStore
from app.queries.imports.subjects import UNKNOWN, Target, import_target, imported_site

CHUNK_RECORDS = 200
"""Records that are stored in one transaction."""
CHUNK_TOKENS = 1_000_000
"""Tokens of their excerpts, where fewer records have as many."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import. ``name``, ``model`` and ``activation_function`` are of a subject that is new."""

    slug: str
    format: DataFormat | None = None
    """None finds it out from the files."""
    collection: str | None = None
    """What pages call the records; the source's name where it is None."""
    name: str | None = None
    model: str | None = None
    activation_function: str | None = None


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is."""

    import_id: int
    share: float
    counts: ImportCounts
    n_problems: int
    position: str


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import has read, in all of its attempts, and what of it was new."""

    import_id: int
    slug: str
    counts: ImportCounts
    n_problems: int
    is_resumed: bool


Tell: TypeAlias = Callable[[ImportProgress], None]


def run_import(
    sessions: Sessions, source: Source, request: ImportRequest, *, tell: Tell, account_id: int | None = None
) -> ImportOutcome:
    """Import a source, or resume an unfinished import of it.

    Raises Invalid for a malformed slug, a source that is not there or whose format is not known, Conflict where another
    process takes the import over, Unavailable where a server cannot be reached: the same call resumes it later.
    """
    if not is_slug(request.slug):
        raise Invalid(f"{request.slug!r} cannot be a subject's name in addresses: use a-z, 0-9 and . _ - alone.")
    format = request.format or format_of(entry for _, entry in source.entries(_ignore))
    collection = request.collection or source.name
    with transaction(sessions) as session:
        named = request.model or f"neurons of {format.label} files"
        values = {
            "name": request.name or request.slug,
            "source": request.model or UNKNOWN,
            "site": imported_site({}, named=named).as_json(),
            "activation_function": request.activation_function,
        }
        target = import_target(session, slug=request.slug, collection=collection, values=values)
        begun = begin_import(
            session,
            key=f"{request.slug}\n{collection}\n{source.name}\n{format}",
            values={
                "subject_id": target.subject_id,
                "collection_id": target.collection_id,
                "source": source.name,
                "format": format,
            },
            account_id=account_id,
        )
    running = _Import(sessions, source, reader_of(format), target, begun, tell, format=format)
    with _noting_the_end(sessions, begun):
        running.run()
    refresh_subject(sessions, slug=request.slug)
    with transaction(sessions) as session:
        compact_counts(session)  # no worker need be there to do it, and the first page adds up every row
    return ImportOutcome(begun.id, request.slug, running.counts, running.n_problems, begun.is_resumed)


@contextmanager
def _noting_the_end(sessions: Sessions, begun: BegunImport) -> Iterator[None]:
    """Around an attempt: if it ends before its source does, the reason is stored where the database can be reached."""
    error: str | None = "It was stopped."
    try:
        yield
        error = None
    except (DomainError, OSError) as reason:
        error = str(reason)
        raise
    finally:
        if error is not None:
            with suppress(DBAPIError), transaction(sessions) as session:
                fail_import(session, begun=begun, error=error)


def _ignore(_problem: ReadingProblem) -> None:
    """The files are only looked at: they are read again, and what is wrong is noted then."""


class _Import:
    """One attempt at an import."""

    def __init__(  # noqa: PLR0913 - what one attempt is made of
        self, sessions: Sessions, source: Source, reader: Reader, target: Target, begun: BegunImport, tell: Tell, *,
        format: DataFormat,
    ) -> None:  # fmt: skip
        self._sessions, self._source, self._reader, self._format = sessions, source, reader, format
        self._target, self._begun, self._tell = target, begun, tell
        self.counts, self.n_problems = begun.counts, begun.n_problems
        self._problems: list[ReadingProblem] = []
        self._at = Advance(begun.ordinal, begun.entry, begun.line, begun.counts, begun.state, 0.0)
        form = begun.state.get("token_form")
        with sessions() as session:
            self._store = ChunkStore(
                session, target, form=None if form is None else TokenForm(form), author=format.label
            )

    def run(self) -> None:
        """Read to the end of the source, then make the collection visible."""
        chunk: list[NeuronRecord] = []
        n_tokens = 0
        for record in self._records(self._problems.append):
            chunk.append(record)
            n_tokens += _n_tokens(record)
            if len(chunk) >= CHUNK_RECORDS or n_tokens >= CHUNK_TOKENS:
                self._advance(chunk, self._line_of(record))
                chunk, n_tokens = [], 0
        self._advance(chunk, self._at)
        with transaction(self._sessions) as session:
            self._note_gaps(session)
            length, n_excerpts = longest_excerpt(session, corpus_id=self._target.corpus_id)
            complete_import(session, begun=self._begun, context_length=length, n_excerpts=n_excerpts)

    def _note_gaps(self, session: Session) -> None:
        """Note files that are missing, where the source itself does not: a folder does not know what it lacks."""
        if self._format is not DataFormat.OPENAI or is_address(self._source.name):
            return
        own = self._target
        gaps = missing_files(session, subject_id=own.subject_id, collection_id=own.collection_id)
        if gaps:
            advance_import(session, begun=self._begun, to=self._reached(self._at), problems=gaps)
            self.n_problems += len(gaps)

    def _records(self, refuse: Refuse) -> Iterator[NeuronRecord]:
        begun = self._begun
        after = Position(begun.ordinal, begun.entry) if begun.ordinal else None
        line = begun.line
        for position, entry in self._source.entries(refuse, after=after):
            if self._reader.reads(entry.name):
                yield from self._reader.records(entry, refuse, after=line)
            self._at = replace(self._at, ordinal=position.ordinal, entry=position.name, line=0)
            line = 0

    def _line_of(self, record: NeuronRecord) -> Advance:
        """The position after a record: its line, where the file may have more, else the file before it."""
        return replace(self._at, line=record.origin.line or 0)

    def _advance(self, chunk: list[NeuronRecord], to: Advance) -> None:
        """Store a chunk with the position that it reaches. A record of the current file may be read again."""
        with transaction(self._sessions) as session:
            new = self._store.store(session, chunk, self._problems.append)
            self.counts = self.counts + new
            reached = self._reached(to)
            advance_import(session, begun=self._begun, to=reached, problems=self._problems)
        self.n_problems += len(self._problems)
        self._problems.clear()
        self._tell(ImportProgress(self._begun.id, reached.progress, self.counts, self.n_problems, reached.entry))

    def _reached(self, to: Advance) -> Advance:
        """A position with what is known when it is reached."""
        state = {} if self._store.form is None else {"token_form": str(self._store.form)}
        return replace(to, counts=self.counts, state=state, progress=self._source.progress)


def _n_tokens(record: NeuronRecord) -> int:
    of_samples = sum(len(row.tokens) for sample in record.samples for row in sample.records)
    return of_samples + sum(len(s.activations) for e in record.explanations for s in e.simulations)
