"""Named language models, and what each person has spent on them."""

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.language_models import ProviderKind
from app.models.base import Base, BigId, Moment, one_of


class Provider(Base):
    """A language model under a name: an OpenAI-compatible endpoint or a model on the worker's device.

    Prices are per million tokens, in one currency of the owner's choice.
    """

    __tablename__ = "provider"
    __table_args__ = (one_of("kind", ProviderKind),)

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    model: Mapped[str]
    """The endpoint's name of the model, or a folder or hub id for ``local``."""
    base_url: Mapped[str | None]
    key_variable: Mapped[str | None]
    """The environment variable that holds the key."""
    key_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    allowed_networks: Mapped[list[str]] = mapped_column(JSONB, server_default=sql("'[]'::jsonb"))
    """Private networks that the base URL may resolve to, e.g. ``127.0.0.0/8``."""
    concurrency: Mapped[int] = mapped_column(server_default="8")
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    timeout_seconds: Mapped[float] = mapped_column(server_default="120")
    price_in: Mapped[float] = mapped_column(server_default="0")
    price_cached: Mapped[float] = mapped_column(server_default="0")
    price_out: Mapped[float] = mapped_column(server_default="0")
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=sql("'{}'::jsonb"))
    """Settings of one kind of provider only, e.g. a local model's ``dtype`` and ``batch_tokens``."""
    capabilities: Mapped[list[str] | None] = mapped_column(JSONB)
    """The capabilities found by the last probe; NULL before the first probe."""
    probed_at: Mapped[Moment | None]
    probe_error: Mapped[str | None]
    disabled_at: Mapped[Moment | None]
    """When the provider was disabled; work that needs it waits. NULL while enabled."""
    key_set_at: Mapped[Moment | None]
    key_set_by: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    """The account that entered the key; NULL if it was entered on the command line."""


class Spending(Base):
    """The total price of a person's calls on one day (UTC)."""

    __tablename__ = "spending"

    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    spent: Mapped[float] = mapped_column(server_default="0")
