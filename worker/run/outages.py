"""Outages of the database in a worker: wait and try again, without losing work or counting a failure."""

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
"""SQLSTATE classes of temporary errors: connection, rollback, resources, object state, operator intervention."""


def is_outage(error: DBAPIError) -> bool:
    """Whether the database was unreachable or busy, so that the same statement may succeed later."""
    if not isinstance(error, OperationalError | InterfaceError):
        return error.connection_invalidated
    state: str | None = getattr(error.orig, "sqlstate", None)  # None if no server responded
    return state is None or state.startswith(_PASSING)


@contextmanager
def ignoring_outages(event: str) -> Iterator[None]:
    """Log an outage under ``event`` and continue, for actions that are repeated later anyway."""
    try:
        yield
    except DBAPIError as error:
        if not is_outage(error):
            raise
        log.warning(event, reason=reason(error))


def through_outages(action: Callable[[], T], *, stop: Event) -> T:
    """The return value of ``action``, repeated as long as the database is unreachable.

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
    """An error's message in a form that pages can show and tables can store, without any key."""
    message = storable_text(redacted(str(getattr(error, "orig", None) or error).strip()))
    return message[:LONGEST_REASON] or type(error).__name__
