"""Pauses: providers whose work waits for an outage to end."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.models import Pause
from app.queries.common.prepared import PreparedSelect
from app.queries.history.events import record_event

HELD = datetime(9999, 1, 1, tzinfo=UTC)
"""The end date of a pause that only a person can end."""


@dataclass(frozen=True, slots=True)
class CurrentPause:
    """A provider whose work waits, and the end of the pause."""

    provider: str
    reason: str
    since: datetime
    until: datetime

    @property
    def is_held(self) -> bool:
        """Whether only a person can end the pause."""
        return self.until >= HELD


PAUSES = PreparedSelect(
    CurrentPause,
    select(Pause.provider, Pause.reason, Pause.since, Pause.until)
    .where(Pause.until > func.now())
    .order_by(Pause.provider),
)
"""The present pauses."""

_PAUSE = text("""
    INSERT INTO pause (provider, reason, until)
    VALUES (:provider, :reason, now() + make_interval(secs => :base_seconds))
    ON CONFLICT (provider) DO UPDATE SET
        reason = excluded.reason,
        n_failures = pause.n_failures + 1,
        until = now() + make_interval(secs => least(:limit_seconds, :base_seconds * 2.0 ^ least(pause.n_failures, 30)))
    WHERE pause.until <= now()
    RETURNING until
""")


def pause_provider(
    session: Session, *, provider: str, reason: str, base_seconds: float, limit_seconds: float
) -> datetime | None:
    """Begin none of a provider's work for ``base_seconds``, twice as long at each further failure.

    At most ``limit_seconds``. Returns None if it is already paused, so that failures of several workers in one outage
    count once.
    """
    values = {"provider": provider, "reason": reason, "base_seconds": base_seconds, "limit_seconds": limit_seconds}
    until: datetime | None = session.scalar(_PAUSE, values)
    if until is None:
        return None
    detail = {"provider": provider, "reason": reason, "until": until.isoformat()}
    record_event(session, kind=EventKind.PROVIDER_PAUSED, detail=detail)
    return until


def end_pause(session: Session, *, provider: str) -> None:
    """Reset a provider's failures after it has replied. A pause set by a person stays."""
    session.execute(delete(Pause).where(Pause.provider == provider, Pause.until < HELD))


def hold_provider(session: Session, *, provider: str, reason: str) -> None:
    """Pause a provider's work until ``release_provider``."""
    held = insert(Pause).values(provider=provider, reason=reason, until=HELD)
    replaced = {"reason": reason, "until": HELD}
    session.execute(held.on_conflict_do_update(index_elements=[Pause.provider], set_=replaced))


def release_provider(session: Session, *, provider: str) -> None:
    """End any pause of a provider."""
    session.execute(delete(Pause).where(Pause.provider == provider))
