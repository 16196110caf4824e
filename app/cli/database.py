"""``neuron-audit db``: the schema of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from app.cli.common import settings
from app.db import database_url, make_sessions, open_database, transaction
from app.errors import Unavailable
from app.queries.common.counting import recount
from app.queries.embeddings.source import embedding_source
from app.queries.embeddings.tables import make_embedding_table
from app.schema import check_schema, downgrade, prepare
from app.settings import Settings

db = typer.Typer(help="The database's schema.", no_args_is_help=True)


@contextmanager
def _database(loaded: Settings) -> Iterator[Engine]:
    """The database as it is, whatever its schema."""
    engine = open_database(loaded)
    try:
        yield engine
    finally:
        engine.dispose()


@db.command("migrate")
def db_migrate() -> None:
    """Bring the schema to the newest revision, and store the built-in methods.

    Where an embedding model is set, the table of embeddings is made; without pgvector all but search by meaning works.
    """
    loaded = settings()
    with _database(loaded) as engine:
        prepare(engine)
        if embedding_source(loaded) is None:
            return
        try:
            with transaction(make_sessions(engine)) as session:
                make_embedding_table(session)
        except Unavailable as error:
            typer.secho(error.message, err=True, fg=typer.colors.YELLOW)


@db.command("downgrade")
def db_downgrade(
    revision: str, yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the data may be lost.")] = False
) -> None:
    """Take the schema back to a revision (``base`` removes everything)."""
    loaded = settings()
    if not yes:
        where = (
            "the database of DATABASE_URL" if loaded.database_url else f"the database in {loaded.data_dir.resolve()}"
        )
        typer.confirm(
            f"This deletes what later revisions have stored in {where}, and cannot be undone. Go on?", abort=True
        )
    with _database(loaded) as engine:
        downgrade(engine, revision=revision)


@db.command("check")
def db_check() -> None:
    """Fail where the schema differs from the models."""
    with _database(settings()) as engine:
        check_schema(engine)


@db.command("recount")
def db_recount() -> None:
    """Count again what pages show, after rows were written with triggers off: a partial restore, a repair by hand."""
    with _database(settings()) as engine, transaction(make_sessions(engine)) as session:
        recount(session)


@db.command("where")
def db_where() -> None:
    """Print the database's address; starts the embedded server if that is the one in use."""
    loaded = settings()
    typer.echo(database_url(loaded))
    typer.echo(f"data folder: {Path(loaded.data_dir).resolve()}")
