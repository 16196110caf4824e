"""Batches, runs, calls to language models."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.changes import Change
from app.domain.language_models import Outcome
from app.domain.work import WorkStatus
from app.models.base import Base, BigId, CreatedAt, Moment, one_of
from app.models.work import BEGUN, IS_ACTIVE, NO_EXPLANATION, QUEUED, RUNNING, LeaseColumns


class Batch(Base):
    """The runs queued together by one person."""

    __tablename__ = "batch"
    __table_args__ = (
        Index("ix_batch_method_id", "method_id"),
        Index("ix_batch_account_id", "account_id", "id"),
        Index("ix_batch_unended", "id", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[BigId]
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    method_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("method.id"))
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    explanation_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("explanation.id", use_alter=True))
    """The explanation that the run is to score; NULL for a batch whose runs explain."""
    n_runs: Mapped[int]
    created_at: Mapped[CreatedAt]
    cancelled_at: Mapped[Moment | None]
    title: Mapped[str] = mapped_column(server_default="")
    """The batch in words: the neuron, or the filters that chose its neurons."""
    filters: Mapped[str | None]
    """The query string of the filtered list whose neurons were queued; NULL if they were named one by one."""
    ended_at: Mapped[Moment | None]
    """When a worker found that every run had ended; NULL before."""
    price_cap: Mapped[float | None]
    """The most that the batch's calls to language models may cost."""
    spent: Mapped[float] = mapped_column(server_default="0")
    spent_estimated: Mapped[float] = mapped_column(server_default="0")
    """The part of ``spent`` that is estimated by this program, since the endpoint reported no token counts."""


class Run(LeaseColumns, Base):
    """One neuron through one method: a piece of leased work.

    There are no foreign keys: Postgres would check them row by row, each time locking the referenced row, which would
    take two thirds of the time of queueing every neuron. Triggers check the same once per statement, and also that
    method and explanation are the batch's and the neuron belongs to its subject.
    """

    __tablename__ = "run"
    __table_args__ = (
        one_of("status", WorkStatus),
        Index("uq_run_active", "neuron_id", "method_id", unique=True, postgresql_where=IS_ACTIVE),
        Index("ix_run_queued", "batch_id", "id", postgresql_where=QUEUED),
        Index("ix_run_lease", "lease_until", postgresql_where=RUNNING),
        Index("ix_run_batch_id", "batch_id", "id"),
        # For the runs of one status in a batch of any size. Queued runs have their own index, so that queueing does not
        # have
        # to update this one.
        Index("ix_run_begun", "batch_id", "status", "id", postgresql_where=BEGUN),
        Index("ix_run_neuron_id", "neuron_id"),
        Index("ix_run_no_explanation", "neuron_id", postgresql_where=NO_EXPLANATION),
        Index("ix_run_explanation_id", "explanation_id", postgresql_where=text("explanation_id IS NOT NULL")),
    )

    id: Mapped[BigId]
    batch_id: Mapped[int] = mapped_column(BigInteger)
    neuron_id: Mapped[int] = mapped_column(BigInteger)
    method_id: Mapped[int] = mapped_column(BigInteger)
    explanation_id: Mapped[int | None] = mapped_column(BigInteger)
    """The explanation to simulate and score; NULL if the run explains first."""
    before_explanation_id: Mapped[int | None] = mapped_column(BigInteger)
    """The explanation that represented the neuron when the run was queued; NULL if there was none."""


class RunChange(Base):
    """The effect of a successful run's explanation, by the rules of ``app.domain.changes``.

    Derived whenever explanations or scores of its neuron are stored, so that batches of any size can be sorted and
    counted by it.
    """

    __tablename__ = "run_change"
    __table_args__ = (
        one_of("change", Change),
        Index("ix_run_change_batch_id", "batch_id", "difference", "run_id"),
        Index("ix_run_change_change", "batch_id", "change", "difference", "run_id"),
    )

    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("run.id"), primary_key=True)
    batch_id: Mapped[int] = mapped_column(BigInteger)
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    """The run's own explanation, the one it was queued to score, or, for a copy, the one it repeats."""
    is_copy: Mapped[bool]
    """Whether the method, which has no randomness, gave an existing text again, so that no explanation was added."""
    change: Mapped[str]
    scorer: Mapped[str | None]
    before: Mapped[float | None]
    after: Mapped[float | None]
    difference: Mapped[float | None]
    is_current: Mapped[bool]
    """Whether the explanation is the one shown first for its neuron."""


class LlmCall(Base):
    """One request to a language model with its reply, as sent and received."""

    __tablename__ = "llm_call"
    __table_args__ = (
        one_of("outcome", Outcome),
        Index("ix_llm_call_run_id", "run_id"),
        Index("ix_llm_call_task_id", "task_id", postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_llm_call_created_at", "created_at"),
    )

    id: Mapped[BigId]
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("run.id"))
    task_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("task.id"))
    """The task that the call was made for, e.g. a language model's reviews. NULL for a run's call and for a probe's."""
    step: Mapped[str]
    """The step that made the call, e.g. ``simulate/top/3``; a resumed run finds it by step and ``request_digest``."""
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
    """The run's ``attempt`` at the time; a failed request is not repeated within the same attempt."""
    tokens_in: Mapped[int | None]
    tokens_cached: Mapped[int | None]
    tokens_out: Mapped[int | None]
    is_estimated: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether tokens and price are estimated by this program, since the endpoint reported no token counts."""
    price: Mapped[float | None]
    latency_seconds: Mapped[float | None]
    created_at: Mapped[CreatedAt]
