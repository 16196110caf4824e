"""Imports of outside data: their progress, the records they refused, and judgements made at other sites."""

import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.imports import DataFormat, ImportStatus, JudgementKind
from app.models.base import Base, BigId, CreatedAt, Moment, one_of


class DataImport(Base):
    """One import of a source into a collection of a subject.

    ``ordinal``, ``entry`` and ``line`` are the position up to which everything is stored. They are updated in the same
    transactions as the data, so that a killed import resumes exactly there.
    """

    __tablename__ = "data_import"
    __table_args__ = (
        one_of("status", ImportStatus),
        one_of("format", DataFormat),
        Index("ix_data_import_key", "key", "id"),
        Index("ix_data_import_subject_id", "subject_id"),
    )

    id: Mapped[BigId]
    key: Mapped[str]
    """The same for every import of one source into one collection."""
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    collection_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("collection.id"))
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    source: Mapped[str]
    format: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=ImportStatus.RUNNING)
    owner: Mapped[uuid.UUID]
    """The fence token of the importing process; a process with another token can store nothing."""
    ordinal: Mapped[int] = mapped_column(BigInteger, server_default="0")
    entry: Mapped[str] = mapped_column(server_default="")
    line: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Number of lines already stored of the entry after ``ordinal``; 0 if none are."""
    state: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """Facts that the first records decide for the whole import: the form of the tokens, the set of neurons."""
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    n_problems: Mapped[int] = mapped_column(BigInteger, server_default="0")
    progress: Mapped[float] = mapped_column(server_default="0")
    """Share of the source that has been read, 0..1."""
    error: Mapped[str | None]
    started_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
    finished_at: Mapped[Moment | None]


class ImportProblem(Base):
    """A record that an import refused, or a missing file. Only the first ones are stored; all are counted."""

    __tablename__ = "import_problem"
    __table_args__ = (Index("ix_import_problem_import_id", "import_id", "id"),)

    id: Mapped[BigId]
    import_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("data_import.id"))
    file: Mapped[str]
    line: Mapped[int | None] = mapped_column(BigInteger)
    field: Mapped[str | None]
    reason: Mapped[str]
    is_gap: Mapped[bool]
    """Whether something is missing, rather than wrong."""


class ImportedJudgement(Base):
    """A flag or verdict about an explanation that a file contained, given by somebody at another site.

    It is shown and exported again, but never counted in reviews, estimates and filters.
    """

    __tablename__ = "imported_judgement"
    __table_args__ = (one_of("kind", JudgementKind), UniqueConstraint("explanation_id", "digest"))

    id: Mapped[BigId]
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    kind: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The fields of ``Flag`` or ``Verdict`` in ``app.formats.records``."""
    digest: Mapped[str]
    """A hash of kind and content, so that equal judgements are stored once."""
    created_at: Mapped[CreatedAt]
