"""One-time login tokens and the browser sessions that they begin. Tokens are stored as SHA-256 only."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_AGENT
from app.domain.events import EventKind
from app.domain.review import ReviewerKind
from app.errors import Conflict, Forbidden
from app.models import Account, LoginToken, WebSession
from app.queries.history.events import record_event


class LoginFailed(Forbidden):
    """This login address has been used already or is too old. Ask for a new one."""


def create_login_token(session: Session, *, account_id: int, minutes: int) -> str:
    """A token that logs this account in once, within ``minutes``.

    Raises Conflict for a disabled account, and for the account of a reviewer that is not a person.
    """
    account = session.get_one(Account, account_id)
    if account.kind != ReviewerKind.PERSON:
        raise Conflict(f"{account.name} is not a person: no login is possible to its account.")
    if account.disabled_at is not None:
        raise Conflict(f"The account {account.name} is disabled: neuron-audit user enable {account.name}")
    token = secrets.token_urlsafe(32)
    session.add(
        LoginToken(
            token_hash=hashed_token(token),
            account_id=account_id,
            expires_at=datetime.now(UTC) + timedelta(minutes=minutes),
        )
    )
    return token


def log_in(session: Session, *, login_token: str, days: int, agent: str = "") -> str:
    """Exchange a one-time token for a session's token. Raises LoginFailed, also when two race for it."""
    return start_session(session, account_id=use_login_token(session, login_token), days=days, agent=agent)


def use_login_token(session: Session, login_token: str) -> int:
    """Use up a one-time token; returns its account. Raises LoginFailed, also when two requests race for it."""
    account_id: int | None = session.scalar(
        update(LoginToken)
        .where(
            LoginToken.token_hash == hashed_token(login_token),
            LoginToken.used_at.is_(None),
            LoginToken.expires_at > func.now(),
            LoginToken.account_id.in_(select(Account.id).where(Account.disabled_at.is_(None))),
        )
        .values(used_at=func.now())
        .returning(LoginToken.account_id)
    )
    if account_id is None:
        raise LoginFailed
    return account_id


def start_session(session: Session, *, account_id: int, days: int, agent: str, by_openid: bool = False) -> str:
    """A new session's token, for a person who has proved their identity."""
    token = secrets.token_urlsafe(32)
    session.execute(delete(WebSession).where(WebSession.expires_at <= func.now()))
    session.add(
        WebSession(
            token_hash=hashed_token(token),
            account_id=account_id,
            expires_at=datetime.now(UTC) + timedelta(days=days),
            agent=agent[:LONGEST_AGENT],
            by_openid=by_openid,
        )
    )
    record_event(session, kind=EventKind.ACCOUNT_LOGGED_IN, account_id=account_id)
    return token


def log_out(session: Session, *, session_token: str) -> bool:
    """End the session of this token, if there is one. Returns whether it began through an OpenID provider."""
    ended = session.execute(
        delete(WebSession)
        .where(WebSession.token_hash == hashed_token(session_token))
        .returning(WebSession.account_id, WebSession.by_openid)
    ).first()
    if ended is None:
        return False
    record_event(session, kind=EventKind.ACCOUNT_LOGGED_OUT, account_id=ended.account_id)
    return bool(ended.by_openid)


def hashed_token(token: str) -> str:
    """The stored hash of a token."""
    # a token has 256 random bits, so a slow hash would add nothing
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()
