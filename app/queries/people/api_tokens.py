"""Tokens with which programs use the site under an account: hashed, scoped, expiring."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_NAME, LONGEST_TOKEN_DAYS
from app.domain.events import EventKind
from app.domain.roles import Role, TokenScope
from app.errors import Invalid, NotFound
from app.models import Account, ApiToken
from app.queries.history.events import record_event
from app.queries.people.accounts import Viewer
from app.queries.people.logins import hashed_token

PREFIX = "na_"
"""Prefix of every token, by which scanners for leaked secrets recognise it."""


@dataclass(frozen=True, slots=True)
class ApiTokenShown:
    """A token as its owner sees it. The token itself is shown once, when it is made."""

    id: int
    name: str
    scope: TokenScope
    created_at: datetime
    expires_at: datetime


def create_api_token(session: Session, *, account_id: int, name: str, scope: TokenScope, days: int) -> str:
    """A new token. Raises Invalid for a bad name or number of days."""
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise Invalid(f"A token's name has 1 to {LONGEST_NAME} printable characters.")
    if not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise Invalid(f"A token lasts 1 to {LONGEST_TOKEN_DAYS} days.")
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            account_id=account_id,
            name=clean,
            scope=scope,
            token_hash=hashed_token(token),
            expires_at=datetime.now(UTC) + timedelta(days=days),
        )
    )
    detail = {"name": clean, "scope": scope, "days": days}
    record_event(session, kind=EventKind.TOKEN_CREATED, account_id=account_id, detail=detail)
    return token


def api_tokens_of(session: Session, *, account_id: int) -> tuple[ApiTokenShown, ...]:
    """The tokens that still work, the newest first."""
    rows = session.scalars(
        select(ApiToken)
        .where(ApiToken.account_id == account_id, ApiToken.revoked_at.is_(None), ApiToken.expires_at > func.now())
        .order_by(ApiToken.id.desc())
    )
    return tuple(ApiTokenShown(row.id, row.name, TokenScope(row.scope), row.created_at, row.expires_at) for row in rows)


def revoke_api_token(session: Session, *, account_id: int, token_id: int) -> None:
    """Revoke a token of this account. Raises NotFound."""
    name = session.scalar(
        update(ApiToken)
        .where(ApiToken.id == token_id, ApiToken.account_id == account_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiToken.name)
    )
    if name is None:
        raise NotFound("This token has been revoked already.")
    record_event(session, kind=EventKind.TOKEN_REVOKED, account_id=account_id, detail={"name": name})


def viewer_of_api_token(session: Session, *, token: str) -> Viewer | None:
    """The account of a token; None if the token is unknown, revoked or expired, or its account is disabled."""
    row = session.execute(
        select(Account.id, Account.name, Account.role, ApiToken.scope)
        .join(ApiToken, ApiToken.account_id == Account.id)
        .where(
            ApiToken.token_hash == hashed_token(token),
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at > func.now(),
            Account.disabled_at.is_(None),
        )
    ).first()
    return Viewer(row.id, row.name, Role(row.role), scope=TokenScope(row.scope)) if row is not None else None
