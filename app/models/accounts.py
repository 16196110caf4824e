"""People: accounts, one-time login tokens, browser sessions, API tokens of programs. All tokens are stored hashed."""

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.news import NewsKind
from app.domain.review import ReviewerKind
from app.domain.roles import Role, TokenScope
from app.models.base import Base, BigId, CreatedAt, Moment, one_of


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (one_of("role", Role), one_of("kind", ReviewerKind))

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default=ReviewerKind.PERSON)
    """Only persons log in; accounts of other kinds take part in campaigns and are marked there."""
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[Moment | None]
    email: Mapped[str | None] = mapped_column(unique=True)
    """In lower case. A first login by an OpenID provider with this address is bound to this account."""
    password_hash: Mapped[str | None]
    """An argon2id hash; None for an account that logs in by one-time links only."""
    price_cap_per_day: Mapped[float | None]
    """The most that this person's calls to language models may cost per day (UTC)."""
    news_seen_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The newest piece of news that this person has seen."""


class News(Base):
    """The outcome of something that a person did: a flag was settled, a batch has ended."""

    __tablename__ = "news"
    __table_args__ = (
        one_of("kind", NewsKind),
        CheckConstraint("(flag_id IS NULL) <> (batch_id IS NULL)", name="about_one"),
        Index("ix_news_account_id", "account_id", "id"),
    )

    id: Mapped[BigId]
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    kind: Mapped[str]
    flag_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("flag.id", use_alter=True))
    batch_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("batch.id", use_alter=True))
    created_at: Mapped[CreatedAt]


class LoginToken(Base):
    __tablename__ = "login_token"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


class WebSession(Base):
    __tablename__ = "web_session"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    seen_at: Mapped[CreatedAt]
    """The time of the last request, to within some minutes; unused sessions expire."""
    confirmed_at: Mapped[CreatedAt]
    """When the person last proved their identity."""
    agent: Mapped[str] = mapped_column(server_default="")
    """The browser's User-Agent."""
    by_openid: Mapped[bool] = mapped_column(server_default="false")
    """Whether the session began at an OpenID provider, which may still have a session after this one has ended."""


class OpenIdIdentity(Base):
    """A person at an OpenID provider, bound to an account. An account has at most one at each provider."""

    __tablename__ = "openid_identity"
    __table_args__ = (UniqueConstraint("account_id", "issuer"),)

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    """The provider's identifier of the person. It never changes, unlike an e-mail address."""
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))


class OpenIdLogin(Base):
    """A login in progress, against which the provider's response is checked. Used once and short-lived."""

    __tablename__ = "openid_login"

    state_hash: Mapped[str] = mapped_column(primary_key=True)
    browser_hash: Mapped[str]
    """The hash of the cookie of the browser that began the login."""
    nonce: Mapped[str]
    code_verifier: Mapped[str]
    back: Mapped[str]
    """The page to return to; empty for the home page."""
    expires_at: Mapped[Moment]


class SecondFactor(Base):
    """An authenticator app that an account is bound to: logging in requires one of its codes."""

    __tablename__ = "second_factor"

    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), primary_key=True)
    secret_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger)
    """The time step of the newest accepted code: neither this code nor an older one is accepted again."""
    recovery_hashes: Mapped[list[str]] = mapped_column(ARRAY(String))
    """Hashes of the unused recovery codes, for a lost authenticator; each works once."""


class ApiToken(Base):
    __tablename__ = "api_token"
    __table_args__ = (one_of("scope", TokenScope),)

    id: Mapped[BigId]
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), index=True)
    name: Mapped[str]
    scope: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    revoked_at: Mapped[Moment | None]


class AttemptCount(Base):
    __tablename__ = "attempt_count"

    key: Mapped[str] = mapped_column(primary_key=True)
    """Hash of what is limited: an account's name or a client's IP address."""
    ends_at: Mapped[Moment]
    n: Mapped[int]
