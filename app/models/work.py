"""Columns that every kind of leased work shares, tasks, the workers that hold work, pauses of a provider."""

import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.work import ACTIVE, WorkStatus
from app.models.base import Base, BigId, CreatedAt, Moment, is_one_of, one_of

QUEUED = text(f"status = '{WorkStatus.QUEUED}'")
BEGUN = text(f"status <> '{WorkStatus.QUEUED}'")
RUNNING = text(f"status = '{WorkStatus.RUNNING}'")
NO_EXPLANATION = text(f"status = '{WorkStatus.NO_EXPLANATION}'")
IS_ACTIVE = text(is_one_of("status", ACTIVE))


class LeaseColumns:
    """The columns of a table whose rows are leased to workers. ``app.work.lease`` changes them."""

    status: Mapped[str] = mapped_column(server_default=WorkStatus.QUEUED)
    due_at: Mapped[Moment | None]
    """The earliest time at which the work may begin; NULL means at once."""
    lease_token: Mapped[uuid.UUID | None]
    """The fence token; a worker with another token can change nothing."""
    lease_until: Mapped[Moment | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    """Failed attempts. Outages of the database or a provider do not count."""
    deaths: Mapped[int] = mapped_column(server_default="0")
    """Number of workers that crashed or froze while they held the work."""
    executions: Mapped[int] = mapped_column(server_default="0")
    """Number of times that a worker began the work."""
    stage: Mapped[str] = mapped_column(server_default=WorkStatus.QUEUED)
    progress: Mapped[float] = mapped_column(server_default="0")
    """Share of the work that is done, 0..1."""
    error: Mapped[str | None]
    worker_id: Mapped[uuid.UUID | None]
    queued_at: Mapped[CreatedAt]
    started_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]


class Task(LeaseColumns, Base):
    """A piece of leased work that is no run. Its ``kind`` determines the keys of ``parameters`` and ``result``."""

    __tablename__ = "task"
    __table_args__ = (
        one_of("status", WorkStatus),
        Index("uq_task_active", "unique_key", unique=True, postgresql_where=IS_ACTIVE),
        Index("ix_task_active", "status", "id", postgresql_where=IS_ACTIVE),
        Index("ix_task_subject_id", "subject_id", "id"),
    )

    id: Mapped[BigId]
    kind: Mapped[str]
    lane: Mapped[str]
    title: Mapped[str]
    """The task in words, for lists."""
    subject_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("subject.id"))
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    """The account that queued the task."""
    provider: Mapped[str | None]
    """The language model that the task calls; while that one is paused, the task waits."""
    unique_key: Mapped[str | None]
    """At most one active task may have a given key."""
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Turn(Base):
    """When a person's work was last begun in a lane; the person who has waited longest is next."""

    __tablename__ = "turn"

    lane: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """0 for work that no person queued."""
    taken_at: Mapped[CreatedAt]
    n_taken: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Worker(Base):
    """A worker process that has reported."""

    __tablename__ = "worker"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    """The device of the worker's models; the processor while no model is loaded."""
    doing: Mapped[str] = mapped_column(server_default="idle")
    n_finished: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
    stopped_at: Mapped[Moment | None]


class Pause(Base):
    """A provider whose work waits for an outage to end. Pages show its reason as a banner."""

    __tablename__ = "pause"

    provider: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    n_failures: Mapped[int] = mapped_column(server_default="1")
    """Consecutive failures; each doubles the wait."""
    since: Mapped[CreatedAt]
    until: Mapped[Moment]
