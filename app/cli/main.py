"""The commands of ``neuron-audit``; ``db``, ``user``, ``provider`` and ``history`` have modules of their own."""

import signal
import sys
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import OperationalError

from app.cli.common import settings, worker_libraries
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

ExitWithParent = Annotated[
    bool, typer.Option("--exit-with-parent", help="Stop when the process that started it has ended.")
]


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


@cli.command()
def collect(  # noqa: PLR0913, PLR0917 - one argument for each option
    model: Annotated[str, typer.Argument(help="Folder or hub id of a transformers model.")],
    corpus: Annotated[
        str,
        typer.Argument(help="File or folder of text, JSON, CSV or Parquet, also packed; datasets:NAME; demo:stdlib."),
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
    text_field: Annotated[str, typer.Option(help="Field or column in which a row has its text.")] = "text",
    part: Annotated[str, typer.Option(help="2/4: the second of four processes that share this collection.")] = "1/1",
    null_twin: Annotated[
        bool,
        typer.Option("--null-twin", help="Collect the control of a subject instead: the same shape, permuted weights."),
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished collection of this kind.")] = False,
    token_memory: Annotated[
        float, typer.Option(min=0, help="Gigabytes for the mean activation of each token and neuron.")
    ] = 2.0,
    queue: Annotated[
        bool, typer.Option("--queue", help="Let a worker do it: the page of its task shows progress and cancels it.")
    ] = False,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Collect a subject over a corpus: samples and statistics of every neuron in one pass.

    The same command goes on where a killed one was.
    """
    if exit_with_parent:
        stop_with_parent()
    with worker_libraries():
        from worker.collection.command import collect as collect_subject
    collect_subject(
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
        null_twin=null_twin,
        restart=restart,
        token_memory=token_memory,
        queue=queue,
    )


@cli.command()
def check(
    subject: Annotated[str, typer.Argument(help="The subject's name in addresses.")],
    corpus: Annotated[
        str | None, typer.Option(help="The corpus, as it was collected, where its text is not kept on this machine.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column in which a row of the corpus has its text.")] = (
        "text"
    ),
    part: Annotated[str, typer.Option(help="2/4: the second of four processes that share this check.")] = "1/1",
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished check of this subject.")] = False,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Execute explanations on every token of the corpus: what they get right, false alarms, misses.

    Checks what the lexical language can read and has not been checked yet. The same command goes on where a killed
    one was.
    """
    if exit_with_parent:
        stop_with_parent()
    with worker_libraries():
        from worker.checks.command import check as check_subject
    check_subject(settings(), subject=subject, corpus=corpus, text_field=text_field, part=part, restart=restart)


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
    """Fail where the web server on this machine does not answer."""
    raise typer.Exit(0 if web_is_alive(settings()) else 1)


@health.command("worker")
def health_worker() -> None:
    """Fail where no worker of this machine has shown itself lately."""
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
