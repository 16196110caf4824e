"""The state of an import: begun, resumed, advanced behind its fence, ended."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.domain.collections import CollectionStatus
from app.domain.events import EventKind
from app.domain.imports import DataFormat, ImportCounts, ImportStatus
from app.errors import Conflict
from app.formats.problems import ReadingProblem
from app.models import Collection, DataImport, ImportProblem, Subject
from app.queries.history.events import record_event

MOST_KEPT = 1_000
"""Problems of one import that are stored, each with its reason."""


@dataclass(frozen=True, slots=True)
class BegunImport:
    """An import for which this process may store data, and the position from which it resumes."""

    id: int
    owner: uuid.UUID
    subject_id: int
    collection_id: int
    ordinal: int
    entry: str
    line: int
    counts: ImportCounts
    n_problems: int
    state: dict[str, Any]
    is_resumed: bool


def begin_import(
    session: Session,
    *,
    key: str,
    values: Mapping[str, Any],
    account_id: int | None = None,
) -> BegunImport:
    """Take over the unfinished import with this key, or store a new one; ``values`` are its other columns.

    A process that was importing it can store nothing more from then on.
    """
    owner = uuid.uuid4()
    found = session.scalar(
        select(DataImport)
        .where(DataImport.key == key, DataImport.status != ImportStatus.COMPLETE)
        .order_by(DataImport.id.desc())
        .limit(1)
        .with_for_update()
    )
    is_resumed = found is not None
    if found is None:
        found = DataImport(key=key, owner=owner, account_id=account_id, **values)
        session.add(found)
        session.flush()  # its events and problems need the id
        detail = {"import_id": found.id, "source": found.source, "format": found.format}
        record_event(
            session, kind=EventKind.IMPORT_STARTED, account_id=account_id, subject_id=found.subject_id, detail=detail
        )
    found.owner, found.status, found.error = owner, ImportStatus.RUNNING, None
    return BegunImport(
        id=found.id,
        owner=owner,
        subject_id=found.subject_id,
        collection_id=found.collection_id,
        ordinal=found.ordinal or 0,
        entry=found.entry or "",
        line=found.line or 0,
        counts=ImportCounts(**(found.counts or {})),
        n_problems=found.n_problems or 0,
        state=dict(found.state or {}),
        is_resumed=is_resumed,
    )


@dataclass(frozen=True, slots=True)
class Advance:
    """The progress of an import once a chunk is stored."""

    ordinal: int
    entry: str
    line: int
    counts: ImportCounts
    state: Mapping[str, Any]
    progress: float


def advance_import(session: Session, *, begun: BegunImport, to: Advance, problems: Sequence[ReadingProblem]) -> None:
    """Move the position, in the transaction that stores the chunk before it.

    Raises Conflict if another process has taken the import over, or it has ended.
    """
    values = {
        "ordinal": to.ordinal,
        "entry": to.entry,
        "line": to.line,
        "counts": asdict(to.counts),
        "state": dict(to.state),
        "progress": to.progress,
        "n_problems": DataImport.n_problems + len(problems),
        "seen_at": func.clock_timestamp(),
    }
    _change(session, begun, values)
    kept = (
        session.scalar(select(func.count()).select_from(ImportProblem).where(ImportProblem.import_id == begun.id))
        if problems
        else 0
    )
    for each in problems[: max(0, MOST_KEPT - (kept or 0))]:
        session.add(
            ImportProblem(
                import_id=begun.id,
                file=each.file,
                line=each.line,
                field=each.field,
                reason=each.reason,
                is_gap=each.is_gap,
            )
        )


def complete_import(session: Session, *, begun: BegunImport, context_length: int, n_excerpts: int) -> None:
    """End an import and make its collection complete. A subject that shows no other collection then shows this one.

    Raises Conflict like ``advance_import``.
    """
    _change(session, begun, {"status": ImportStatus.COMPLETE, "progress": 1.0, "finished_at": func.now()})
    session.execute(
        update(Collection)
        .where(Collection.id == begun.collection_id)
        .values(
            status=CollectionStatus.COMPLETE,
            context_length=context_length,
            n_excerpts=n_excerpts,
            finished_at=func.now(),
            lease_until=func.now(),
        )
    )
    session.execute(
        update(Subject)
        .where(Subject.id == begun.subject_id, Subject.collection_id.is_(None))
        .values(collection_id=begun.collection_id)
    )
    detail = {"import_id": begun.id, "collection_id": begun.collection_id}
    record_event(session, kind=EventKind.IMPORT_COMPLETED, subject_id=begun.subject_id, detail=detail)


def fail_import(session: Session, *, begun: BegunImport, error: str) -> None:
    """Record why an import stopped; the next one with its key resumes it. Nothing if another process took it over."""
    session.execute(
        update(DataImport)
        .where(DataImport.id == begun.id, DataImport.owner == begun.owner, DataImport.status == ImportStatus.RUNNING)
        .values(status=ImportStatus.FAILED, error=error, seen_at=func.now())
    )


def _change(session: Session, begun: BegunImport, values: Mapping[str, Any]) -> None:
    changed = session.execute(
        update(DataImport)
        .where(DataImport.id == begun.id, DataImport.owner == begun.owner, DataImport.status == ImportStatus.RUNNING)
        .values(**values)
        .returning(DataImport.id)
    ).first()
    if changed is None:
        raise Conflict("Another process has gone on with this import. It stores nothing twice; look at its progress.")


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An import as pages show it."""

    id: int
    slug: str
    subject: str
    collection_id: int
    is_shown: bool
    """Whether the subject's pages show its collection."""
    source: str
    format: DataFormat
    status: ImportStatus
    counts: ImportCounts
    n_problems: int
    progress: float
    error: str | None
    started_at: datetime
    seen_at: datetime
    finished_at: datetime | None


def imports(session: Session, *, limit: int) -> tuple[ImportRow, ...]:
    """The newest imports, newest first. One query."""
    return tuple(_row(*row) for row in session.execute(_ROWS.order_by(DataImport.id.desc()).limit(limit)))


def import_row(session: Session, *, import_id: int) -> ImportRow | None:
    """One import, or None."""
    row = session.execute(_ROWS.where(DataImport.id == import_id)).first()
    return None if row is None else _row(*row)


def import_problems(session: Session, *, import_id: int, limit: int) -> tuple[ReadingProblem, ...]:
    """The first problems of an import, in the order of its files. One query."""
    rows = session.scalars(
        select(ImportProblem).where(ImportProblem.import_id == import_id).order_by(ImportProblem.id).limit(limit)
    )
    return tuple(ReadingProblem(row.file, row.reason, row.line, row.field, row.is_gap) for row in rows)


_ROWS = select(DataImport, Subject.slug, Subject.name, (Subject.collection_id == DataImport.collection_id)).join(
    Subject, Subject.id == DataImport.subject_id
)


def _row(found: DataImport, slug: str, subject: str, is_shown: bool | None) -> ImportRow:
    return ImportRow(
        id=found.id,
        slug=slug,
        subject=subject,
        collection_id=found.collection_id,
        is_shown=bool(is_shown),
        source=found.source,
        format=DataFormat(found.format),
        status=ImportStatus(found.status),
        counts=ImportCounts(**found.counts),
        n_problems=found.n_problems,
        progress=found.progress,
        error=found.error,
        started_at=found.started_at,
        seen_at=found.seen_at,
        finished_at=found.finished_at,
    )
