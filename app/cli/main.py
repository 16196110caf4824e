"""The commands of ``neuron-audit``; ``db``, ``user``, ``provider`` and ``history`` have modules of their own."""

import signal
import sys
from typing import NoReturn

import typer
from sqlalchemy.exc import OperationalError

from app.cli.collect import check_command, collect_command
from app.cli.common import ExitWithParent, settings, worker_libraries
from app.cli.database import db
from app.cli.doctor import doctor_command
from app.cli.doubts import doubts_command
from app.cli.embed import embed_command
from app.cli.history import history
from app.cli.provider import provider
from app.cli.report import campaign_table_command, report_command
from app.cli.steps import steps_command
from app.cli.transfer import export_command, import_command
from app.cli.user import user
from app.errors import DomainError
from app.health import web_is_alive, worker_is_alive
from app.parent import stop_with_parent
from app.redaction import redact_tracebacks, redacted
from app.settings import settings_table

cli = typer.Typer(help="Browse and audit explanations of language-model neurons.", no_args_is_help=True)
health = typer.Typer(help="Is the program on this machine alive?", no_args_is_help=True)
cli.add_typer(db, name="db")
cli.add_typer(user, name="user")
cli.add_typer(history, name="history")
cli.add_typer(provider, name="provider")
cli.add_typer(health, name="health")

REFUSED = 1
TRY_AGAIN = 75
TERMINATED = 128 + signal.SIGTERM
"""Exit codes. TRY_AGAIN is of ``sysexits.h``: the same command may succeed later."""


@cli.command()
def serve(exit_with_parent: ExitWithParent = False) -> None:
    """Start the web server."""
    if exit_with_parent:
        stop_with_parent()
    from app.web.main import serve as serve_web  # other commands need no web framework

    serve_web(settings())


@cli.command()
def worker(exit_with_parent: ExitWithParent = False) -> None:
    """Start a worker: it takes runs from the queue until it is stopped."""
    if exit_with_parent:
        stop_with_parent()
    with worker_libraries():
        from worker.run.main import main as run_worker
    raise typer.Exit(run_worker(settings()))


@cli.command()
def demo() -> None:
    """Start everything on the bundled model and print one address."""
    with worker_libraries():
        from demo.launch import launch
    raise typer.Exit(launch(settings()))


cli.command("collect")(collect_command)
cli.command("check")(check_command)


@cli.command("settings")
def settings_command() -> None:
    """Print every setting with its default and meaning."""
    typer.echo(settings_table())


cli.command("steps")(steps_command)
cli.command("embed")(embed_command)
cli.command("doubts")(doubts_command)
cli.command("doctor")(doctor_command)
cli.command("report")(report_command)
cli.command("campaign-table")(campaign_table_command)
cli.command("export")(export_command)
cli.command("import")(import_command)


@health.command("web")
def health_web() -> None:
    """Fail where the web server on this machine does not respond."""
    raise typer.Exit(0 if web_is_alive(settings()) else 1)


@health.command("worker")
def health_worker() -> None:
    """Fail where no worker of this machine has sent a heartbeat lately."""
    raise typer.Exit(0 if worker_is_alive(settings()) else 1)


def main() -> None:
    """The console script. An error that a person can correct is one line, not a traceback.

    SIGTERM ends a command like ``sys.exit``: contexts are closed and exit handlers run.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    redact_tracebacks()
    try:
        cli()
    except DomainError as error:
        _end(error.message, code=REFUSED)
    except OperationalError as error:
        _end(f"The database cannot go on: {str(error.orig).strip()}", code=TRY_AGAIN)
    finally:
        redact_tracebacks()  # typer has installed its own hook, which prints what no branch above has caught


def _end(message: str, *, code: int) -> NoReturn:
    typer.secho(redacted(message), err=True, fg=typer.colors.RED)
    raise SystemExit(code) from None
