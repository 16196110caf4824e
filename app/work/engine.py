"""The queue's engine, procrastinate: it wakes workers when there is work.

A job of the engine says only that there is work in a lane. A slot of a worker selects the work when it has its turn
(``app.work.begin``), so a lost, late or duplicate job only changes the time. Only the library's documented interface is
used, and nothing else reads or writes its tables.
"""

import procrastinate
import psycopg
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.domain.work import Lane
from app.queries.common.bulk import driver_connection

TURN = "turn"
"""The engine's task, which wakes a slot of a worker. A job's queue names the slots: those of a lane, or of upkeep."""
UPKEEP, TIDYING = "upkeep", "tidying"
"""Queues of work that any free worker does for all: every few seconds, every hour."""

# Never opened: jobs are deferred over the connections of the callers, in their transactions.
_engine = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def wake_workers(session: Session, *, lane: Lane) -> None:
    """Let a free slot of the lane look for work at the commit of this transaction.

    A slot that finds work wakes the next one, so one call is enough for any number of rows.
    """
    session.flush()  # the rows of work, which must be in the same transaction
    connection = driver_connection(session)
    try:
        _engine.configure_task(TURN, queue=lane.value, connection=connection).defer()
    except ConnectorException as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.Error):
            raise
        if connection.closed:  # the pool must not reuse a broken connection
            session.connection().invalidate(cause)
        raise DBAPIError.instance(
            "defer a job", None, cause, psycopg.Error, connection_invalidated=connection.closed
        ) from error
