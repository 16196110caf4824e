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
    """The explanation that its run scores; NULL where its runs explain."""
    n_runs: Mapped[int]
    created_at: Mapped[CreatedAt]
    cancelled_at: Mapped[Moment | None]
    title: Mapped[str] = mapped_column(server_default="")
    """What was queued, in words: the filters that chose its neurons, or the neuron."""
    filters: Mapped[str | None]
    """The query string of the list that its neurons were chosen from by filters; NULL where they were named."""
    ended_at: Mapped[Moment | None]
    """When a worker noticed that every run had ended; NULL before."""
    price_cap: Mapped[float | None]
    """Most that the batch's calls to language models may cost."""
    spent: Mapped[float] = mapped_column(server_default="0")
    spent_estimated: Mapped[float] = mapped_column(server_default="0")
    """The part of ``spent`` that is our estimate, because the endpoint reported no token counts."""


class Run(LeaseColumns, Base):
    """One neuron through one method: a piece of leased work.

    Foreign keys would be checked row by row, each check a lock on the row it finds: two thirds of the time of queueing
    every neuron. Triggers hold the same once per statement, and also that method and explanation are the batch's and
    the neuron is one of its subject's.
    """

    __tablename__ = "run"
    __table_args__ = (
        one_of("status", WorkStatus),
        Index("uq_run_active", "neuron_id", "method_id", unique=True, postgresql_where=IS_ACTIVE),
        Index("ix_run_queued", "batch_id", "id", postgresql_where=QUEUED),
        Index("ix_run_lease", "lease_until", postgresql_where=RUNNING),
        Index("ix_run_batch_id", "batch_id", "id"),
        # The runs of one status in a batch of any size. Those that are queued have an index of their own, so that
        # queueing does not pay for this one.
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
    """The explanation to simulate and score; without one the run explains first."""
    before_explanation_id: Mapped[int | None] = mapped_column(BigInteger)
    """The explanation that spoke for the neuron when the run was queued; NULL where none did."""


class RunChange(Base):
    """What the explanation of a run that succeeded has changed, by the rules of ``app.domain.changes``.

    Derived whenever explanations or scores of its neuron are stored, so that a batch of any size is sorted and counted
    by it.
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
    """The run's own explanation, the one it was to score, or of a copy the one it repeats."""
    is_copy: Mapped[bool]
    """Whether the method gave a text again that it cannot give otherwise, so that no explanation was added."""
    change: Mapped[str]
    scorer: Mapped[str | None]
    before: Mapped[float | None]
    after: Mapped[float | None]
    difference: Mapped[float | None]
    is_current: Mapped[bool]
    """Whether the explanation is the one that is shown first for its neuron."""


class LlmCall(Base):
    """One request to a language model with its reply, as it went over the wire."""

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
    """The task that it was made for, e.g. the reviews of a language model. A probe is made for neither."""
    step: Mapped[str]
    """The step that sent it, e.g. ``simulate/top/3``: with ``request_digest`` the key of a resumed run."""
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
    """The run's own ``attempt`` at that time: a failed request is not repeated within one."""
    tokens_in: Mapped[int | None]
    tokens_cached: Mapped[int | None]
    tokens_out: Mapped[int | None]
    is_estimated: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether tokens and price are our estimate, because the endpoint reported no token counts."""
    price: Mapped[float | None]
    latency_seconds: Mapped[float | None]
    created_at: Mapped[CreatedAt]
