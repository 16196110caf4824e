"""The command line: ``neuron-audit serve | worker | demo | db | collect | user``."""

import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import database_url, make_sessions, open_database, transaction
from app.errors import DomainError
from app.health import web_is_alive, worker_is_alive
from app.log import configure_logging
from app.parent import stop_with_parent
from app.provider_commands import provider
from app.queries.accounts import account_named, accounts, add_account, create_login_token
from app.schema import check_schema, downgrade, open_installation, prepare
from app.settings import Settings, settings_table

cli = typer.Typer(help="Browse and audit explanations of language-model neurons.", no_args_is_help=True)
db = typer.Typer(help="The database's schema.", no_args_is_help=True)
health = typer.Typer(help="Is the program on this machine alive?", no_args_is_help=True)
user = typer.Typer(help="Accounts of people.", no_args_is_help=True)
cli.add_typer(db, name="db")
cli.add_typer(user, name="user")
cli.add_typer(provider, name="provider")
cli.add_typer(health, name="health")

REFUSED = 1
TRY_AGAIN = 75
TERMINATED = 128 + signal.SIGTERM
"""Exit codes. TRY_AGAIN is of ``sysexits.h``: the same command may succeed later."""

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
    """One transaction on the database, which is let go of afterwards."""
    engine = open_installation(loaded)
    try:
        with transaction(make_sessions(engine)) as session:
            yield session
    finally:
        engine.dispose()


def worker_module(name: str) -> Any:
    """A module of the worker, which a web-only installation does not have the libraries for."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("app", "worker", "demo"):
            raise
        raise typer.BadParameter(
            f"this command needs the worker's libraries ({error.name} is missing): make setup installs them"
        ) from error


@cli.command()
def serve(exit_with_parent: ExitWithParent = False) -> None:
    """Start the web server."""
    if exit_with_parent:
        stop_with_parent()
    importlib.import_module("app.web.main").serve(settings())


@cli.command()
def worker(exit_with_parent: ExitWithParent = False) -> None:
    """Start a worker: it takes runs from the queue until it is stopped."""
    if exit_with_parent:
        stop_with_parent()
    raise typer.Exit(worker_module("worker.main").main(settings()))


@cli.command()
def demo() -> None:
    """Start everything on the bundled model and print one address."""
    raise typer.Exit(worker_module("demo.launch").launch(settings()))


@cli.command()
def collect(  # noqa: PLR0913, PLR0917 - one argument for each option
    model: Annotated[str, typer.Argument(help="Folder or hub id of a transformers model.")],
    corpus: Annotated[
        str, typer.Argument(help="Text file, folder of text files, JSONL file, datasets:NAME, or demo:stdlib.")
    ],
    slug: Annotated[str | None, typer.Option(help="The subject's name in addresses.")] = None,
    name: Annotated[str | None, typer.Option(help="The subject's name on pages.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Stop after this many tokens.")] = None,
    context_length: Annotated[int, typer.Option(min=1, help="Tokens of an excerpt.")] = 64,
    batch: Annotated[int | None, typer.Option(min=1, help="Excerpts per forward pass.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which excerpts are sampled.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    bos: Annotated[str, typer.Option(help="BOS before each excerpt: auto (as the tokenizer does), prepend, none.")] = (
        "auto"
    ),
    revision: Annotated[str | None, typer.Option(help="Revision of a model on the hub.")] = None,
    module_path: Annotated[
        str | None, typer.Option(help="Path of an MLP's output projection, with {layer}, for an unknown architecture.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Where a row of JSONL or of a data set has its text.")] = "text",
    part: Annotated[str, typer.Option(help="2/4: the second of four processes that share this collection.")] = "1/1",
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished collection of this kind.")] = False,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Collect a subject over a corpus: samples and statistics of every neuron in one pass.

    The same command goes on where a killed one was.
    """
    if exit_with_parent:
        stop_with_parent()
    worker_module("worker.collection.command").collect(
        settings(),
        model=model,
        corpus=corpus,
        slug=slug,
        name=name,
        max_tokens=max_tokens,
        context_length=context_length,
        batch=batch,
        seed=seed,
        dtype=dtype,
        bos=bos,
        revision=revision,
        module_path=module_path,
        text_field=text_field,
        part=part,
        restart=restart,
    )


@cli.command("settings")
def settings_command() -> None:
    """Print every setting with its default and meaning."""
    typer.echo(settings_table())


@health.command("web")
def health_web() -> None:
    """Fail where the web server on this machine does not answer."""
    raise typer.Exit(0 if web_is_alive(settings()) else 1)


@health.command("worker")
def health_worker() -> None:
    """Fail where no worker of this machine has shown itself lately."""
    raise typer.Exit(0 if worker_is_alive(settings()) else 1)


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


@user.command("add")
def user_add(
    name: str,
    role: Annotated[str, typer.Option(help="reader (may flag), reviewer (may also resolve and queue) or admin.")],
) -> None:
    """Add an account and print an address that logs it in once."""
    loaded = settings()
    with opened(loaded) as session:
        account = add_account(session, name=name, role=role)
        token = create_login_token(session, account_id=account.id, minutes=loaded.login_token_minutes)
    typer.echo(login_address(loaded, token))


@user.command("login")
def user_login(name: str) -> None:
    """Print an address that logs an account in once."""
    loaded = settings()
    with opened(loaded) as session:
        account = account_named(session, name=name)
        token = create_login_token(session, account_id=account.id, minutes=loaded.login_token_minutes)
    typer.echo(login_address(loaded, token))


@user.command("list")
def user_list() -> None:
    """List every account with its role."""
    with opened(settings()) as session:
        for account in accounts(session):
            typer.echo(f"{account.name}\t{account.role}{' (disabled)' if account.disabled_at else ''}")


def login_address(loaded: Settings, token: str) -> str:
    """Where a browser exchanges this one-time token for a session."""
    origin = (loaded.public_url or f"http://{loaded.host}:{loaded.port}").rstrip("/")
    return f"{origin}/login?token={token}"


def main() -> None:
    """The console script. What a person can put right is told in a line, not in a traceback.

    SIGTERM ends a command like an exit of its own, with all that waits for an end.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        cli()
    except DomainError as error:
        _end(error.message, code=REFUSED)
    except OperationalError as error:
        _end(f"The database cannot go on: {str(error.orig).strip()}", code=TRY_AGAIN)


def _end(message: str, *, code: int) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED)
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
