"""People: accounts, one-time login tokens, browser sessions. Tokens are stored hashed."""

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.review import ReviewerKind
from app.domain.roles import Role
from app.models.base import Base, BigId, CreatedAt, Moment, one_of


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (one_of("role", Role), one_of("kind", ReviewerKind))

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default=ReviewerKind.PERSON)
    """Only persons log in; the others take part in campaigns, and are marked there."""
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[Moment | None]
    price_cap_per_day: Mapped[float | None]
    """Most that this person's calls to language models may cost on one day (UTC)."""


class LoginToken(Base):
    __tablename__ = "login_token"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


class WebSession(Base):
    __tablename__ = "web_session"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
