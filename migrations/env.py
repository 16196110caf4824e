"""Alembic's entry: runs on the connection that ``app.db`` hands over."""

from alembic import context

from app.models import Base


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave the queue's own tables, which its library defines, out of the comparison."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_name=ours,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
