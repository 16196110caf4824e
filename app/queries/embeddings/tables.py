"""The table of embeddings and its indexes, created only in a database that has pgvector."""

import re

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.errors import Unavailable
from app.models.embeddings import EXPLANATION_EMBEDDINGS
from app.queries.common.versions import note_changes_of

OLDEST_VERSION = (0, 8)
"""The oldest usable version of pgvector: its index scans continue until enough rows pass the other conditions."""
_LOCK = 0x4E45  # advisory lock: two workers that start at once must not both create the table
_AVAILABLE = text("""
    SELECT coalesce(installed.extversion, offered.default_version) AS version, installed.oid IS NOT NULL AS is_installed
    FROM (SELECT 'vector' AS name) AS wanted
    LEFT JOIN pg_extension AS installed ON installed.extname = wanted.name
    LEFT JOIN pg_available_extensions AS offered ON offered.name = wanted.name
""")


def make_embedding_table(session: Session) -> None:
    """Create the extension ``vector`` and the table of embeddings if they are missing.

    Raises Unavailable, which says what to do, if the database has no usable pgvector; everything else works without it.
    """
    if has_embedding_table(session):
        return
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = session.execute(_AVAILABLE).one()
    if found.version is None:
        raise Unavailable(
            "Search by meaning needs pgvector, which this PostgreSQL server does not have. Install its package on the"
            " server, or use the image pgvector/pgvector."
        )
    if version_of(found.version) < OLDEST_VERSION:
        needed = ".".join(map(str, OLDEST_VERSION))
        raise Unavailable(
            f"Search by meaning needs pgvector {needed} or newer, and this database has {found.version}."
            " Update its package on the server, then run ALTER EXTENSION vector UPDATE."
        )
    if not found.is_installed:
        _install(session)
    EXPLANATION_EMBEDDINGS.create(session.connection(), checkfirst=True)
    session.execute(text(note_changes_of(EXPLANATION_EMBEDDINGS.name)))


def has_embedding_table(session: Session) -> bool:
    """Whether the table of embeddings exists."""
    return session.scalar(text(f"SELECT to_regclass('{EXPLANATION_EMBEDDINGS.name}')")) is not None


def index_embeddings(session: Session, *, model_id: int, dimensions: int) -> None:
    """Create the cosine-distance index of one model's embeddings if it is missing; quick while they are few."""
    session.execute(
        text(
            f"CREATE INDEX IF NOT EXISTS ix_explanation_embedding_nearest_{model_id:d} ON {EXPLANATION_EMBEDDINGS.name}"
            f" USING hnsw ((embedding::halfvec({dimensions:d})) halfvec_cosine_ops) WHERE model_id = {model_id:d}"
        )
    )


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of a version; zeros if there are none."""
    numbers = [int(digits) for digits in re.findall(r"\d+", text)]
    return (*numbers, 0, 0)[:2]  # type: ignore[return-value]  # two of at least two


def _install(session: Session) -> None:
    try:
        with session.begin_nested():
            session.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise Unavailable(
            "Search by meaning needs the extension vector in this database, and this account may not create it:"
            f" {str(error.orig).strip()}. Let a superuser run CREATE EXTENSION vector there."
        ) from error
