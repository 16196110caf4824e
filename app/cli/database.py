"""``neuron-audit db``: the schema of the database."""

from pathlib import Path

import typer

from app.cli.common import settings
from app.db import database_url, open_database
from app.schema import check_schema, downgrade, prepare

db = typer.Typer(help="The database's schema.", no_args_is_help=True)


@db.command("migrate")
def db_migrate() -> None:
    """Bring the schema to the newest revision, and store the built-in methods."""
    prepare(open_database(settings()))


@db.command("downgrade")
def db_downgrade(revision: str) -> None:
    """Take the schema back to a revision (``base`` removes everything)."""
    downgrade(open_database(settings()), revision=revision)


@db.command("check")
def db_check() -> None:
    """Fail where the schema differs from the models."""
    check_schema(open_database(settings()))


@db.command("where")
def db_where() -> None:
    """Print the database's address; starts the embedded server if that is the one in use."""
    loaded = settings()
    typer.echo(database_url(loaded))
    typer.echo(f"data folder: {Path(loaded.data_dir).resolve()}")
