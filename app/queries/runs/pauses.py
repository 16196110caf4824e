"""Pauses: queues that wait for an outage of their provider to end."""

from datetime import datetime

from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from app.models import Pause
from app.queries.history.events import record_event
from app.queries.runs.transport import DEFAULT_QUEUE

_OPEN = text("""
    SELECT queue FROM (
        SELECT :default_queue AS queue UNION SELECT 'provider:' || provider FROM method WHERE provider IS NOT NULL
    ) AS known
    WHERE queue NOT IN (SELECT queue FROM pause WHERE until > now())
    ORDER BY queue
""")
_PAUSE = text("""
    INSERT INTO pause (queue, reason, until)
    VALUES (:queue, :reason, now() + make_interval(secs => :base_seconds))
    ON CONFLICT (queue) DO UPDATE SET
        reason = excluded.reason,
        n_failures = pause.n_failures + 1,
        until = now() + make_interval(secs => least(:limit_seconds, :base_seconds * 2.0 ^ least(pause.n_failures, 30)))
    WHERE pause.until <= now()
    RETURNING until
""")


def open_queues(session: Session) -> list[str]:
    """The queues of all methods, but for those that are paused."""
    return list(session.scalars(_OPEN, {"default_queue": DEFAULT_QUEUE}))


def pause_queue(
    session: Session, *, queue: str, reason: str, base_seconds: float, limit_seconds: float
) -> datetime | None:
    """Close a queue for ``base_seconds``, twice as long at each further failure, at most ``limit_seconds``.

    None where it is paused already: the failures of several workers in one outage count once.
    """
    until: datetime | None = session.scalar(
        _PAUSE, {"queue": queue, "reason": reason, "base_seconds": base_seconds, "limit_seconds": limit_seconds}
    )
    if until is None:
        return None
    record_event(session, kind="queue.paused", detail={"queue": queue, "reason": reason, "until": until.isoformat()})
    return until


def end_pause(session: Session, *, queue: str) -> None:
    """Forget a queue's failures: its provider has answered."""
    session.execute(delete(Pause).where(Pause.queue == queue))
