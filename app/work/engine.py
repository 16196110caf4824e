"""The queue's engine, procrastinate: it wakes workers when there is work.

A job of the engine says that there is work in a lane, and nothing else. What is done is decided when a slot of a worker
has its turn (``app.work.begin``), so a job that is lost, late or there twice changes nothing but when. Only the
documented interface of the library is used; its tables are read and written by nobody else.
"""

import procrastinate
import psycopg
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.domain.work import Lane
from app.queries.common.bulk import driver_connection

TURN = "turn"
"""The engine's task: wake a slot of a worker. A job's queue names the slots: those of a lane, or upkeep."""
UPKEEP, TIDYING = "upkeep", "tidying"
"""Queues of what is done for all workers by any of them that is free: every few seconds, every hour."""

# Never opened: jobs are deferred over the connections of those who queue work, in their transactions.
_engine = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def wake_workers(session: Session, *, lane: Lane) -> None:
    """Let a free slot of the lane look for work at the commit of this transaction.

    A slot that finds work wakes the next one, so one call is enough for any number of rows.
    """
    session.flush()  # what the slot will look for is in the same transaction
    connection = driver_connection(session)
    try:
        _engine.configure_task(TURN, queue=lane.value, connection=connection).defer()
    except ConnectorException as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.Error):
            raise
        if connection.closed:  # the pool must not get it back as if it were whole
            session.connection().invalidate(cause)
        raise DBAPIError.instance(
            "defer a job", None, cause, psycopg.Error, connection_invalidated=connection.closed
        ) from error
