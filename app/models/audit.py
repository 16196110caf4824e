"""Flags and the append-only history."""

from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.events import EventKind
from app.domain.flags import FlagReason
from app.models.base import Base, BigId, CreatedAt, one_of


class Flag(Base):
    """A person's complaint about one explanation. It is open as long as its item of the standing campaign is open."""

    __tablename__ = "flag"
    __table_args__ = (
        one_of("reason", FlagReason),
        Index("ix_flag_explanation_id", "explanation_id"),
        Index("ix_flag_item_id", "item_id"),
        Index("ix_flag_account_id", "account_id", "id"),
    )

    id: Mapped[BigId]
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    item_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_item.id"))
    created_at: Mapped[CreatedAt]


class Event(Base):
    """One line of the history. Never updated or deleted: triggers prevent it, and ``EventLink`` would reveal it."""

    __tablename__ = "event"
    __table_args__ = (
        one_of("kind", EventKind),
        Index("ix_event_neuron_id", "neuron_id", "id"),
        Index("ix_event_kind", "kind", "id"),
    )

    id: Mapped[BigId]
    at: Mapped[CreatedAt]
    kind: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    subject_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("subject.id"))
    neuron_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("neuron.id"))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """References, and ``before`` and ``after`` if the change replaced something."""


class RowSeal(Base):
    """The digests of rows that one statement has inserted into an append-only table, written by a trigger.

    ``keys`` are their primary keys as text, several columns with commas between them; ``digests`` are SHA-256 of the
    rows, in the same order; see ``app.queries.history.sealed``.
    """

    __tablename__ = "row_seal"
    __table_args__ = (CheckConstraint("cardinality(keys) = cardinality(digests)", name="digests"),)

    id: Mapped[BigId]
    table_name: Mapped[str]
    keys: Mapped[list[str]] = mapped_column(ARRAY(Text))
    digests: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))


class EventLink(Base):
    """A link of the chain of events and seals, written by a trigger at the end of their transaction.

    ``hash`` is the SHA-256 of the hash of the link before and the text of the event or seal; see
    ``app.domain.history``. ``position`` counts from 1 without gaps, in the order of commits.
    """

    __tablename__ = "event_link"
    __table_args__ = (CheckConstraint("num_nonnulls(event_id, seal_id) = 1", name="of_one"),)

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("event.id"), unique=True)
    seal_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("row_seal.id"), unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
