"""The sessions of an account: listed, and ended one by one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.errors import NotFound
from app.models import WebSession
from app.queries.history.events import record_event
from app.queries.people.logins import hashed_token

PUBLIC_CHARACTERS = 16
"""Characters of a session's hash that identify it on pages: enough to distinguish sessions, useless for logging in."""


@dataclass(frozen=True, slots=True)
class SessionShown:
    """A browser that is logged in."""

    name: str
    agent: str
    """The browser's User-Agent at the login."""
    created_at: datetime
    expires_at: datetime
    is_this: bool


def sessions_of(session: Session, *, account_id: int, session_token: str | None) -> tuple[SessionShown, ...]:
    """The sessions that are still valid, newest first; marks the one of ``session_token``."""
    rows = session.scalars(
        select(WebSession)
        .where(WebSession.account_id == account_id, WebSession.expires_at > func.now())
        .order_by(WebSession.created_at.desc(), WebSession.token_hash)
    )
    own = hashed_token(session_token) if session_token is not None else None
    return tuple(
        SessionShown(
            row.token_hash[:PUBLIC_CHARACTERS], row.agent, row.created_at, row.expires_at, row.token_hash == own
        )
        for row in rows
    )


def end_session(session: Session, *, account_id: int, name: str) -> None:
    """End a session of this account. Raises NotFound, also for another account's session."""
    ended = session.scalars(
        delete(WebSession)
        .where(WebSession.account_id == account_id, func.left(WebSession.token_hash, PUBLIC_CHARACTERS) == name)
        .returning(WebSession.token_hash)
    ).all()
    if not ended:
        raise NotFound("This session has ended already.")
    record_event(session, kind=EventKind.SESSION_ENDED, account_id=account_id, detail={"session": name})


def end_other_sessions(session: Session, *, account_id: int, kept_session: str | None) -> None:
    """End all sessions of an account except the one of this token."""
    ending = delete(WebSession).where(WebSession.account_id == account_id)
    if kept_session is not None:
        ending = ending.where(WebSession.token_hash != hashed_token(kept_session))
    session.execute(ending)
