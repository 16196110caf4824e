"""``neuron-audit import`` and ``neuron-audit export``: neurons and explanations of outside files, in and out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from app.cli.common import settings
from app.db import Sessions, make_sessions, transaction
from app.domain.imports import DataFormat, ImportCounts
from app.queries.imports.state import import_problems
from app.schema import open_installation
from app.settings import Settings
from app.transfer.exporting import ExportProgress, ExportRequest, run_export
from app.transfer.importing import ImportOutcome, ImportProgress, ImportRequest, run_import
from app.transfer.sources import Location
from app.transfer.tasks import enqueue_import

LINE_SECONDS = 10.0
SHOWN_PROBLEMS = 20
Queue = Annotated[
    bool, typer.Option("--queue", help="Let a worker do it: the page of its task shows progress and cancels it.")
]


def import_command(  # noqa: PLR0913, PLR0917 - one argument for each option
    source: Annotated[str, typer.Argument(help="Folder, file, .tar, .tar.gz, .zip, or an HTTP base address.")],
    subject: Annotated[str, typer.Option(help="The subject's name in addresses; one that is not there is made.")],
    format: Annotated[DataFormat | None, typer.Option(help="The format; found out from the files if left out.")] = None,
    collection: Annotated[
        str | None, typer.Option(help="What pages call the records; the same name again adds to the same collection.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The subject's name on pages, where it is new.")] = None,
    model: Annotated[str | None, typer.Option(help="The model that the neurons belong to, where it is new.")] = None,
    activation_function: Annotated[
        str | None, typer.Option(help="The activation function that the model ran with, where it is known.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Of an HTTP address: the layers, like 0-3,7.")] = None,
    indices: Annotated[str | None, typer.Option(help="Of an HTTP address: the neurons of each layer.")] = None,
    queue: Queue = False,
) -> None:
    """Import neurons, their records, explanations and scores. The same command resumes where a killed one stopped.

    Malformed records are refused, each with its file, line, field and reason; all others are stored. Importing again
    adds what is new.
    """
    location = Location(source, layers, indices)
    request = ImportRequest(subject, format, collection, name, model, activation_function)
    with _sessions(settings()) as sessions:
        if queue:
            with transaction(sessions) as session:
                task = enqueue_import(session, location=location, request=request, account_id=None)
            typer.echo(f"{subject}: queued; /tasks/{task.id} shows its progress and cancels it")
            return
        outcome = run_import(sessions, location.opened(), request, tell=_Lines())
        _tell_problems(sessions, outcome)
    typer.echo(f"{outcome.slug}: {_counted(outcome.counts)}; {outcome.n_problems:,} problems")


def export_command(
    subject: Annotated[str, typer.Argument(help="The subject's name in addresses.")],
    output: Annotated[
        Path,
        typer.Option(help="A file for jsonl (also .jsonl.gz) and parquet; else a folder, or .zip, .tar or .tar.gz."),
    ],
    format: Annotated[DataFormat, typer.Option(help="jsonl, parquet, openai or neuronpedia.")] = DataFormat.JSONL,
) -> None:
    """Write a subject's neurons with everything that is known of them, or with what the format can hold."""
    request = ExportRequest(subject, format)
    with _sessions(settings()) as sessions:
        n_neurons = run_export(sessions, request, output.expanduser(), tell=_Lines())
    typer.echo(f"{output}: {n_neurons:,} neurons")


@contextmanager
def _sessions(loaded: Settings) -> Iterator[Sessions]:
    engine = open_installation(loaded)
    try:
        yield make_sessions(engine)
    finally:
        engine.dispose()


def _tell_problems(sessions: Sessions, outcome: ImportOutcome) -> None:
    with sessions() as session:
        problems = import_problems(session, import_id=outcome.import_id, limit=SHOWN_PROBLEMS)
    for each in problems:
        typer.echo(f"{'missing' if each.is_gap else 'refused'}: {each}", err=True)
    n_more = outcome.n_problems - len(problems)
    if n_more > 0:
        typer.echo(f"and {n_more:,} more; /imports/{outcome.import_id} lists them", err=True)


def _counted(counts: ImportCounts) -> str:
    return (
        f"{counts.new_neurons:,} new neurons, {counts.new_activation_records:,} new activation records,"
        f" {counts.new_explanations:,} new explanations, {counts.new_scores:,} new scores"
    )


class _Lines:
    """Prints a line now and then."""

    def __init__(self) -> None:
        self._last = monotonic()

    def __call__(self, progress: ImportProgress | ExportProgress) -> None:
        now = monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        if isinstance(progress, ImportProgress):
            done = f"{progress.counts.neurons:,} records, at {progress.position}"
        else:
            done = f"{progress.n_neurons:,} neurons"
        typer.echo(f"{progress.share:.0%}: {done}", err=True)
