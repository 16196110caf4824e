"""What a worker does while the database is away: wait and try again, without loss and without blame."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from app.domain.storable import storable_text
from app.redaction import redacted

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
LONGEST_REASON = 2_000
_PASSING = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that pass: connection, rollback, resources, object state, operator."""


def is_outage(error: DBAPIError) -> bool:
    """Whether the database was away or busy: the same statement may succeed later."""
    if not isinstance(error, OperationalError | InterfaceError):
        return error.connection_invalidated
    state: str | None = getattr(error.orig, "sqlstate", None)  # None where no server responded
    return state is None or state.startswith(_PASSING)


@contextmanager
def ignoring_outages(event: str) -> Iterator[None]:
    """Log an outage under ``event`` and continue: for what is tried again later anyway."""
    try:
        yield
    except DBAPIError as error:
        if not is_outage(error):
            raise
        log.warning(event, reason=reason(error))


def through_outages(action: Callable[[], T], *, stop: Event) -> T:
    """What ``action`` returns, however often the database is away meanwhile.

    ``action`` is a whole transaction that may be repeated. Raises the outage once ``stop`` is set.
    """
    wait = FIRST_WAIT_SECONDS
    while True:
        try:
            return action()
        except DBAPIError as error:
            if not is_outage(error) or stop.is_set():
                raise
            log.warning("database.away", reason=reason(error), wait_seconds=wait)
        stop.wait(wait)
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)


def reason(error: BaseException) -> str:
    """An error's message in a form that a page can show and a table can store, without any key."""
    message = storable_text(redacted(str(getattr(error, "orig", None) or error).strip()))
    return message[:LONGEST_REASON] or type(error).__name__
