"""Alembic's entry: runs on the connection that ``app.db`` hands over."""

from alembic import context
from sqlalchemy import text

from app.models import Base


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out of the comparison the queue's own tables, which its library defines, and that of embeddings.

    The table of embeddings is made only where the database has pgvector: see ``app.queries.embeddings.tables``.
    """
    if kind != "table" or name is None:
        return True
    return not (name.startswith("procrastinate_") or name == "explanation_embedding")


LOCK = 0x4E41  # of this database; two programs that start at once migrate one after the other
LOCK_TIMEOUT = "30s"  # a migration that waits for a table holds up everybody who comes after it

connection = context.config.attributes["connection"]
connection.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": LOCK_TIMEOUT})
connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_name=ours,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
