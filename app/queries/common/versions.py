"""The version of the data that pages show: a number that every stored change increases.

A page made at a version is valid as long as the version is the same. Triggers count the statements that change a table
which pages show (``note_change`` in the migration). A caller must read the version before the page's data: a change in
between then makes the data newer than the version, never older.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

CONTENT_VERSION = "SELECT coalesce(sum(n), 0)::bigint FROM content_change"
_CONTENT_VERSION = text(CONTENT_VERSION)
# One statement, so that the sum never changes. A row that a new process with the same number is changing is skipped.
_COMPACT = text("""
    WITH ended AS (
        SELECT process FROM content_change
        WHERE process <> 0 AND process NOT IN (SELECT pid FROM pg_stat_activity) FOR UPDATE SKIP LOCKED
    ), old AS (
        DELETE FROM content_change USING ended WHERE content_change.process = ended.process RETURNING content_change.n
    )
    INSERT INTO content_change (process, n) SELECT 0, sum(n) FROM old HAVING count(*) > 0
    ON CONFLICT (process) DO UPDATE SET n = content_change.n + excluded.n
""")


def content_version(session: Session) -> int:
    """The version of all data that pages show. One query over a row per database process."""
    return int(session.scalars(_CONTENT_VERSION).one())


def compact_versions(session: Session) -> None:
    """Add up the counts of database processes that have ended. The version stays the same."""
    session.execute(_COMPACT)


def note_changes_of(table: str) -> str:
    """SQL that creates the change triggers of a table made at run time; the migration creates those of all others."""
    return f"""
        CREATE OR REPLACE TRIGGER note_insert AFTER INSERT ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION note_change();
        CREATE OR REPLACE TRIGGER note_update AFTER UPDATE ON {table}
            REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION note_update();
        CREATE OR REPLACE TRIGGER note_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION note_deletion();
    """
