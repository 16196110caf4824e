"""Texts that people try on a neuron."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId, CreatedAt, Moment


class Trial(Base):
    """One text to run through a subject for one neuron. Deleted after a day: it is no record of anything."""

    __tablename__ = "trial"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'running', 'done', 'failed')", name="status"),
        Index("ix_trial_waiting", "id", postgresql_where=text("status = 'waiting'")),
    )

    id: Mapped[BigId]
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"))
    explanation_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    """The explanation whose expected activations stand beside the real ones."""
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    text: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="waiting")
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[Moment | None]
