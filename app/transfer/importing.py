"""Import a source into a subject: chunk by chunk, each in one transaction with the position it reaches.

A process that dies loses the chunk that it was storing and nothing else: the next import of the same source into the
same collection resumes from the stored position, and stores nothing twice.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.imports import DataFormat, ImportCounts
from app.domain.slugs import is_slug
from app.domain.tokens import TokenForm
from app.errors import DomainError, Invalid
from app.formats.problems import ReadingProblem
from app.formats.reader import Reader
from app.formats.registry import format_of, reader_of
from app.formats.sources.opening import is_address
from app.formats.sources.source import Source
from app.queries.common.counting import compact_counts
from app.queries.doubts.store import refresh_subject
from app.queries.imports.explanations import longest_excerpt
from app.queries.imports.gaps import missing_files
from app.queries.imports.state import Advance, BegunImport, advance_import, begin_import, complete_import, fail_import
from app.queries.imports.store import ChunkStore
from app.queries.imports.subjects import UNKNOWN, Target, import_target, imported_site
from app.transfer.chunks import Chunk, Reached, chunks_of, read_ahead


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The parameters of an import. ``name``, ``model`` and ``activation_function`` apply if the subject is new."""

    slug: str
    format: DataFormat | None = None
    """None to detect it from the files."""
    collection: str | None = None
    """The name of the records on pages; None for the source's name."""
    name: str | None = None
    model: str | None = None
    activation_function: str | None = None


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """The progress of an import."""

    import_id: int
    share: float
    counts: ImportCounts
    n_problems: int
    position: str


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """Counts of what an import has read in all its attempts, and of what was new."""

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

    Raises Invalid for a malformed slug, a source that does not exist or whose format is unknown, Conflict if another
    process takes the import over, Unavailable if a server cannot be reached; the same call resumes it later.
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
    """Run an attempt; if it fails, store the reason, provided that the database can be reached."""
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
    """Ignore a problem: this look at the files is followed by a reading that notes it."""


class _Import:
    """One attempt at an import."""

    def __init__(  # noqa: PLR0913 - what one attempt is made of
        self, sessions: Sessions, source: Source, reader: Reader, target: Target, begun: BegunImport, tell: Tell, *,
        format: DataFormat,
    ) -> None:  # fmt: skip
        self._sessions, self._source, self._reader, self._format = sessions, source, reader, format
        self._target, self._begun, self._tell = target, begun, tell
        self.counts, self.n_problems = begun.counts, begun.n_problems
        form = begun.state.get("token_form")
        with sessions() as session:
            self._store = ChunkStore(
                session, target, form=None if form is None else TokenForm(form), author=format.label
            )

    def run(self) -> None:
        """Read to the end of the source, then make the collection visible."""
        begun = self._begun
        chunks = chunks_of(self._source, self._reader, Reached(begun.ordinal, begun.entry, begun.line))
        with closing(read_ahead(chunks)) as ahead:
            for chunk in ahead:
                at = self._store_chunk(chunk)
        with transaction(self._sessions) as session:
            self._note_gaps(session, at)
            length, n_excerpts = longest_excerpt(session, corpus_id=self._target.corpus_id)
            complete_import(session, begun=begun, context_length=length, n_excerpts=n_excerpts)

    def _note_gaps(self, session: Session, at: Advance) -> None:
        """Note missing files if the source does not do so itself: a folder does not know what it lacks."""
        if self._format is not DataFormat.OPENAI or is_address(self._source.name):
            return
        own = self._target
        gaps = missing_files(session, subject_id=own.subject_id, collection_id=own.collection_id)
        if gaps:
            advance_import(session, begun=self._begun, to=at, problems=gaps)
            self.n_problems += len(gaps)

    def _store_chunk(self, chunk: Chunk) -> Advance:
        """Store a chunk with the position that it reaches."""
        problems = list(chunk.problems)
        with transaction(self._sessions) as session:
            new = self._store.store(session, chunk.records, problems.append)
            counts = self.counts + new
            # What is known of the tokens' form once the chunk is stored.
            state = {} if self._store.form is None else {"token_form": str(self._store.form)}
            at = chunk.reached
            reached = Advance(at.ordinal, at.entry, at.line, counts, state, chunk.progress)
            advance_import(session, begun=self._begun, to=reached, problems=problems)
        self.counts, self.n_problems = counts, self.n_problems + len(problems)
        self._tell(ImportProgress(self._begun.id, reached.progress, self.counts, self.n_problems, reached.entry))
        return reached
