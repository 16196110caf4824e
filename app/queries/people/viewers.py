"""The account that makes a request, looked up for every request of a browser with a session."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Interval, bindparam, func, null, select, update
from sqlalchemy.orm import Session

from app.models import Account, WebSession
from app.queries.common.prepared import PreparedSelect, rows_of
from app.queries.people.accounts import Viewer
from app.queries.people.logins import hashed_token
from app.queries.people.news import n_unseen

SEEN_MINUTES = 10
"""The precision, in minutes, of a session's last use: not every request writes a row."""


def _ago(name: str) -> ColumnElement[datetime]:
    return func.now() - bindparam(name, type_=Interval)


_HOLDER = PreparedSelect(
    Viewer,
    select(
        Account.id,
        Account.name,
        Account.role,
        n_unseen().label("n_news"),
        null().label("scope"),
        (WebSession.confirmed_at > _ago("confirmed")).label("is_confirmed"),
        (WebSession.seen_at < _ago("seen")).label("was_idle"),
        func.least(WebSession.expires_at, WebSession.seen_at + bindparam("seen", type_=Interval)).label("known_until"),
    )
    .join(WebSession, WebSession.account_id == Account.id)
    .where(
        WebSession.token_hash == bindparam("token_hash"),
        WebSession.expires_at > func.now(),
        WebSession.seen_at > _ago("idle"),
        Account.disabled_at.is_(None),
    ),
)


def viewer_of(session: Session, *, session_token: str, idle_hours: int, confirm_minutes: int) -> Viewer | None:
    """The account of this session's token; None if the session has expired or was unused for ``idle_hours``.

    ``confirm_minutes`` is the time for which a login, or its confirmation, permits changes to accounts.
    """
    found = rows_of(
        session,
        _HOLDER.given(
            token_hash=hashed_token(session_token),
            confirmed=timedelta(minutes=confirm_minutes),
            seen=timedelta(minutes=SEEN_MINUTES),
            idle=timedelta(hours=idle_hours),
        ),
    )
    return found[0] if found else None


def keep_session(session: Session, *, session_token: str) -> None:
    """Record that a session is in use."""
    own = update(WebSession).where(WebSession.token_hash == hashed_token(session_token))
    session.execute(own.values(seen_at=func.now()))
