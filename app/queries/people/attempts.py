"""Limits on how often something may be tried, exact across processes."""

import hashlib
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import DomainError

# Concurrent attempts wait for each other on the row, so that each is counted exactly once.
_COUNT = text(
    """
    INSERT INTO attempt_count AS counted (key, ends_at, n) VALUES (:key, now() + :window, 1)
    ON CONFLICT (key) DO UPDATE SET
        n = CASE WHEN counted.ends_at <= now() THEN 1 ELSE counted.n + 1 END,
        ends_at = CASE WHEN counted.ends_at <= now() THEN excluded.ends_at ELSE counted.ends_at END
    RETURNING n
    """
)
_FORGET = text("DELETE FROM attempt_count WHERE key = :key")
_FORGET_OLD = text("DELETE FROM attempt_count WHERE ends_at < now() - interval '1 hour'")


class TooManyAttempts(DomainError):
    """There were too many attempts. Wait a quarter of an hour, or ask an administrator for a login address."""

    status = 429


def count_attempt(session: Session, *, of: str, most: int, window: timedelta) -> None:
    """Count one attempt. Raises TooManyAttempts for the one after ``most`` within ``window`` of the first.

    The caller must commit the count separately, since a failed attempt counts too.
    """
    session.execute(_FORGET_OLD)
    n = session.scalar(_COUNT, {"key": _key(of), "window": window})
    if n is None or n > most:
        raise TooManyAttempts


def forget_attempts(session: Session, *, of: str) -> None:
    """Reset the count after a successful attempt."""
    session.execute(_FORGET, {"key": _key(of)})


def _key(of: str) -> str:
    # hashed, since people may type a password instead of a name
    return hashlib.sha256(of.encode("utf-8", errors="replace")).hexdigest()
