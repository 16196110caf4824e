"""Planner settings for some statements; ADR 0064 lists them and says when each can be dropped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg import sql
from sqlalchemy.orm import Session

from app.queries.common.bulk import driver_connection


@contextmanager
def planned_with(session: Session, settings: Mapping[str, str]) -> Iterator[None]:
    """Plan the enclosed statements with these settings, sent in one round trip."""
    connection = driver_connection(session)
    with connection.transaction():  # resets at the end; a session that only reads has no other settings
        with connection.pipeline():
            for name, value in settings.items():
                setting = sql.Identifier(*name.split("."))
                connection.execute(sql.SQL("SET LOCAL {} = {}").format(setting, sql.Literal(value)))
        yield
