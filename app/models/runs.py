"""Batches, runs, the workers that hold them, pauses of a queue."""

import uuid
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.language_models import Outcome
from app.models.base import Base, BigId, CreatedAt, Moment, one_of


class Batch(Base):
    """The runs queued together by one person."""

    __tablename__ = "batch"

    id: Mapped[BigId]
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    method_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("method.id"))
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    n_runs: Mapped[int]
    created_at: Mapped[CreatedAt]
    cancelled_at: Mapped[Moment | None]
    price_cap: Mapped[float | None]
    """Most that the batch's calls to language models may cost."""
    spent: Mapped[float] = mapped_column(server_default="0")


class Run(Base):
    """One neuron through a method. This row, not the queue's job, is the truth about it."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'quarantined')",
            name="status",
        ),
        Index(
            "uq_run_active",
            "neuron_id",
            "method_id",
            unique=True,
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
        Index("ix_run_batch_id", "batch_id", "id"),
        Index("ix_run_neuron_id", "neuron_id"),
        Index("ix_run_lease", "lease_until", postgresql_where=text("status = 'running'")),
        Index("ix_run_status", "status", "id"),
        Index("ix_run_explanation_id", "explanation_id", postgresql_where=text("explanation_id IS NOT NULL")),
    )

    id: Mapped[BigId]
    batch_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("batch.id"))
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"))
    method_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("method.id"))
    explanation_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("explanation.id", use_alter=True))
    """The explanation to simulate and score; without one the run explains first."""
    status: Mapped[str] = mapped_column(server_default="queued")
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    """The queue's job that the newest execution came with."""
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[Moment | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    """Failures of the run's own doing; outages of the database or a provider do not count."""
    deaths: Mapped[int] = mapped_column(server_default="0")
    executions: Mapped[int] = mapped_column(server_default="0")
    """Times a worker began it."""
    stage: Mapped[str] = mapped_column(server_default="queued")
    progress: Mapped[float] = mapped_column(server_default="0")
    error: Mapped[str | None]
    worker_id: Mapped[uuid.UUID | None]
    queued_at: Mapped[CreatedAt]
    started_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]


class Worker(Base):
    """A worker process that has shown itself."""

    __tablename__ = "worker"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    doing: Mapped[str] = mapped_column(server_default="idle")
    n_finished: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
    stopped_at: Mapped[Moment | None]


class Pause(Base):
    """A queue that waits for an outage to end. Pages show its reason as a banner."""

    __tablename__ = "pause"

    queue: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    n_failures: Mapped[int] = mapped_column(server_default="1")
    """Failures in a row: each doubles the wait."""
    since: Mapped[CreatedAt]
    until: Mapped[Moment]


class LlmCall(Base):
    """One request to a language model with its reply, as it went over the wire."""

    __tablename__ = "llm_call"
    __table_args__ = (
        one_of("outcome", Outcome),
        Index("ix_llm_call_run_id", "run_id"),
        Index("ix_llm_call_created_at", "created_at"),
    )

    id: Mapped[BigId]
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("run.id"))
    step: Mapped[str]
    """What asked, e.g. ``simulate/top/3``: with ``request_digest`` the key of a resumed run."""
    request_digest: Mapped[str]
    provider: Mapped[str]
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reply: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    returned_model: Mapped[str | None]
    parser_version: Mapped[str | None]
    outcome: Mapped[str]
    error: Mapped[str | None]
    attempt: Mapped[int]
    run_attempt: Mapped[int] = mapped_column(server_default="0")
    """The run's own ``attempt`` at that time: a failed reply is not asked for again within one."""
    tokens_in: Mapped[int | None]
    tokens_cached: Mapped[int | None]
    tokens_out: Mapped[int | None]
    price: Mapped[float | None]
    latency_seconds: Mapped[float | None]
    created_at: Mapped[CreatedAt]
