"""Accounts, one-time login tokens and browser sessions. Tokens are stored as SHA-256 only."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_NAME
from app.domain.events import EventKind
from app.domain.review import ReviewerKind
from app.domain.roles import Action, Role, may
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.models import Account, LoginToken, WebSession
from app.queries.history.events import record_event


class LoginFailed(Forbidden):
    """This login address has been used already or is too old. Ask for a new one."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is looking: the part of an account that pages need."""

    id: int
    name: str
    role: Role

    def may(self, action: Action) -> bool:
        """Whether this person may do this."""
        return may(self.role, action)


def add_account(session: Session, *, name: str, role: Role) -> Account:
    """A new account. Raises Invalid for a bad name, Conflict where the name is taken."""
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise Invalid(f"A name has 1 to {LONGEST_NAME} printable characters.")
    if session.scalar(select(Account.id).where(Account.name == clean)) is not None:
        raise Conflict(f"There is an account named {clean} already.")
    account = Account(name=clean, role=role)
    session.add(account)
    session.flush()  # callers need its id
    record_event(session, kind=EventKind.ACCOUNT_ADDED, account_id=account.id, detail={"name": clean, "role": role})
    return account


def ensure_account(session: Session, *, name: str, role: Role) -> Account:
    """The account of this name, created with this role where it does not exist. Raises as ``add_account`` does."""
    found = session.scalar(select(Account).where(Account.name == name))
    return found if found is not None else add_account(session, name=name, role=role)


def accounts(session: Session) -> list[Account]:
    """Every account, by name."""
    return list(session.scalars(select(Account).order_by(Account.name)))


def account_named(session: Session, *, name: str) -> Account:
    """The account of this name. Raises NotFound."""
    found = session.scalar(select(Account).where(Account.name == name))
    if found is None:
        raise NotFound(f"There is no account named {name}.")
    return found


def disable_account(session: Session, *, name: str) -> int:
    """Disable an account, end its sessions and its unused login tokens; returns the number of sessions ended.

    Raises NotFound for an unknown account, Conflict for one that is disabled already.
    """
    account = account_named(session, name=name)
    if account.disabled_at is not None:
        raise Conflict(f"The account {name} is disabled already.")
    account.disabled_at = datetime.now(UTC)
    ended = session.scalars(
        delete(WebSession).where(WebSession.account_id == account.id).returning(WebSession.token_hash)
    ).all()
    session.execute(delete(LoginToken).where(LoginToken.account_id == account.id, LoginToken.used_at.is_(None)))
    detail = {"before": "enabled", "after": "disabled", "n_sessions": len(ended)}
    record_event(session, kind=EventKind.ACCOUNT_DISABLED, account_id=account.id, detail=detail)
    return len(ended)


def enable_account(session: Session, *, name: str) -> None:
    """Let a disabled account log in again. Raises NotFound, or Conflict for one that is not disabled."""
    account = account_named(session, name=name)
    if account.disabled_at is None:
        raise Conflict(f"The account {name} is not disabled.")
    account.disabled_at = None
    detail = {"before": "disabled", "after": "enabled"}
    record_event(session, kind=EventKind.ACCOUNT_ENABLED, account_id=account.id, detail=detail)


def lock_account(session: Session, *, account_id: int) -> None:
    """Let one transaction at a time pass for this account; rows that refer to it can still be written."""
    session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))


def any_account(session: Session) -> bool:
    """Whether anybody could log in."""
    return session.scalar(select(Account.id).where(Account.disabled_at.is_(None)).limit(1)) is not None


def create_login_token(session: Session, *, account_id: int, minutes: int) -> str:
    """A token that logs this account in once, within ``minutes``.

    Raises Conflict for a disabled account, and for one of a reviewer that is no person.
    """
    account = session.get_one(Account, account_id)
    if account.kind != ReviewerKind.PERSON:
        raise Conflict(f"{account.name} is no person: nobody logs in to its account.")
    if account.disabled_at is not None:
        raise Conflict(f"The account {account.name} is disabled: neuron-audit user enable {account.name}")
    token = secrets.token_urlsafe(32)
    session.add(
        LoginToken(
            token_hash=_hashed(token), account_id=account_id, expires_at=datetime.now(UTC) + timedelta(minutes=minutes)
        )
    )
    return token


def log_in(session: Session, *, login_token: str, days: int) -> str:
    """Exchange a one-time token for a session's token. Raises LoginFailed, also when two race for it."""
    account_id = session.scalar(
        update(LoginToken)
        .where(
            LoginToken.token_hash == _hashed(login_token),
            LoginToken.used_at.is_(None),
            LoginToken.expires_at > func.now(),
            LoginToken.account_id.in_(select(Account.id).where(Account.disabled_at.is_(None))),
        )
        .values(used_at=func.now())
        .returning(LoginToken.account_id)
    )
    if account_id is None:
        raise LoginFailed
    token = secrets.token_urlsafe(32)
    session.execute(delete(WebSession).where(WebSession.expires_at <= func.now()))
    session.add(
        WebSession(
            token_hash=_hashed(token), account_id=account_id, expires_at=datetime.now(UTC) + timedelta(days=days)
        )
    )
    record_event(session, kind=EventKind.ACCOUNT_LOGGED_IN, account_id=account_id)
    return token


def log_out(session: Session, *, session_token: str) -> None:
    """End the session of this token, if there is one."""
    account_id = session.scalar(
        delete(WebSession).where(WebSession.token_hash == _hashed(session_token)).returning(WebSession.account_id)
    )
    if account_id is not None:
        record_event(session, kind=EventKind.ACCOUNT_LOGGED_OUT, account_id=account_id)


def viewer_of(session: Session, *, session_token: str) -> Viewer | None:
    """Who holds this session's token, if it is still good."""
    row = session.execute(
        select(Account.id, Account.name, Account.role)
        .join(WebSession, WebSession.account_id == Account.id)
        .where(
            WebSession.token_hash == _hashed(session_token),
            WebSession.expires_at > func.now(),
            Account.disabled_at.is_(None),
        )
    ).first()
    return Viewer(row.id, row.name, Role(row.role)) if row is not None else None


def _hashed(token: str) -> str:
    # The token is 256 random bits: a slow hash would add nothing.
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()
