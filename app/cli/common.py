"""What the commands share: settings, one transaction, the worker's modules."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from app.db import make_sessions, transaction
from app.log import configure_logging
from app.schema import open_installation
from app.settings import Settings

ExitWithParent = Annotated[
    bool, typer.Option("--exit-with-parent", help="Stop when the process that started it has ended.")
]


def settings() -> Settings:
    """The process's settings, with logging set up by them."""
    loaded = Settings()
    configure_logging(loaded)
    return loaded


@contextmanager
def opened(loaded: Settings) -> Iterator[Session]:
    """One transaction on the database; the connections are closed afterwards."""
    engine = open_installation(loaded)
    try:
        with transaction(make_sessions(engine)) as session:
            yield session
    finally:
        engine.dispose()


@contextmanager
def worker_libraries() -> Iterator[None]:
    """Around the import of a worker's module, for which a web-only installation lacks the libraries."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("app", "worker", "demo"):
            raise
        raise typer.BadParameter(
            f"this command needs the worker's libraries ({error.name} is missing): make setup installs them"
        ) from error
