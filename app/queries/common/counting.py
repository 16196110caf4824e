"""Compact and recompute the stored counts, which are tables of differences; see ``app.models.counts``."""

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.models.counts import COUNT_TABLES, CountRow
from app.queries.common.versions import compact_versions


def _compaction(table: type[CountRow]) -> TextClause:
    """SQL that replaces each group's rows by one row with their sum, skipping rows that others have locked."""
    name, keys = table.__tablename__, ", ".join(table.KEYS)
    sums = ", ".join(f"sum({column})" for column in table.SUMS)
    differs = " OR ".join(f"sum({column}) <> 0" for column in table.SUMS)
    return text(f"""
        WITH numbered AS (SELECT id, count(*) OVER (PARTITION BY {keys}) AS n FROM {name}),
        chosen AS (
            SELECT id FROM {name} WHERE id IN (SELECT id FROM numbered WHERE n > 1) FOR UPDATE SKIP LOCKED
        ),
        old AS (DELETE FROM {name} USING chosen WHERE {name}.id = chosen.id RETURNING {name}.*)
        INSERT INTO {name} ({keys}, {", ".join(table.SUMS)})
        SELECT {keys}, {sums} FROM old GROUP BY {keys} HAVING {differs}
    """)  # noqa: S608 - names of our own tables


_COMPACTIONS = tuple(_compaction(table) for table in COUNT_TABLES)
_RECOUNTS = tuple(text(f"SELECT recount_{table.__tablename__}()") for table in COUNT_TABLES)


def compact_counts(session: Session) -> None:
    """Replace the rows of each group by their sum. Safe to call concurrently."""
    for statement in _COMPACTIONS:
        session.execute(statement)
    compact_versions(session)


def recount(session: Session) -> None:
    """Count everything again, after rows were written with triggers off. Other transactions' changes wait meanwhile."""
    for statement in _RECOUNTS:
        session.execute(statement)
