"""``neuron-audit doctor``: what would work on this machine, a line for each thing, with what to do."""

import json
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import psutil
import typer
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.cli.common import settings
from app.db import open_database
from app.domain.diagnosis import CheckState, Finding, room, works
from app.errors import DomainError
from app.health import worker_is_alive
from app.home import files
from app.redaction import redacted
from app.schema import UnknownSchema, is_current, is_empty
from app.settings import Settings

GIGABYTE = 1_000_000_000
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
COLOURS = {
    CheckState.OK: typer.colors.GREEN,
    CheckState.LIMITED: typer.colors.YELLOW,
    CheckState.BROKEN: typer.colors.RED,
}


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what would work on this machine. Fails where something that everything needs is broken.

    Starts the embedded database where no other one is set, and changes nothing.
    """
    findings = list(all_findings(settings()))
    if as_json:
        typer.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.secho(finding.line, fg=COLOURS[finding.state])
    raise typer.Exit(0 if works(findings) else 1)


def all_findings(loaded: Settings) -> Iterator[Finding]:
    """Every finding, in the order in which they matter."""
    yield Finding("Python", CheckState.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield room(
        "memory",
        psutil.virtual_memory().available,
        least=GIGABYTE,
        enough=4 * GIGABYTE,
        advice="A collection of a model of the size of GPT-2 takes 4 GB",
    )
    yield disk_finding(loaded.data_dir)
    yield from database_findings(loaded)
    yield front_end_finding(files("static"))
    yield pdf_finding()
    yield chromium_finding()
    yield from _worker_findings(loaded)


def disk_finding(folder: Path) -> Finding:
    """The room where the data folder is, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    advice = f"The database and unfinished collections are in {folder}: make room, or set NEURON_AUDIT_DATA_DIR"
    return room("disk", shutil.disk_usage(there).free, least=GIGABYTE, enough=10 * GIGABYTE, advice=advice)


def database_findings(loaded: Settings) -> Iterator[Finding]:
    """Whether the database answers, has the schema of this program, and has a worker on this machine."""
    which = "the server of DATABASE_URL" if loaded.database_url else f"the embedded one in {loaded.data_dir}"
    try:
        engine = open_database(loaded)
        with engine.connect() as connection:
            version = str(connection.scalar(text("SHOW server_version"))).partition(" ")[0]
    except (DomainError, OperationalError) as error:
        reason = redacted(str(getattr(error, "orig", error))).strip().partition("\n")[0]
        advice = "Start it, or mend DATABASE_URL" if loaded.database_url else "See the log that is named"
        yield Finding("database", CheckState.BROKEN, f"{which} cannot be used: {reason}", advice)
        return
    yield Finding("database", CheckState.OK, f"{which}, PostgreSQL {version}")
    try:
        current = is_current(engine)
        advice = (
            "Run neuron-audit db migrate" if loaded.database_url else "The next start makes it, or brings it up to date"
        )
        state = CheckState.OK if current else CheckState.BROKEN if loaded.database_url else CheckState.LIMITED
        found = "of this program" if current else "none yet" if is_empty(engine) else "older than this program"
        yield Finding("schema", state, found, "" if current else advice)
    except UnknownSchema as error:
        yield Finding("schema", CheckState.BROKEN, "of another version", error.message)
        return
    finally:
        engine.dispose()
    if current:
        alive = worker_is_alive(loaded)
        advice = "" if alive else "Start one: neuron-audit worker"
        yield Finding(
            "worker", CheckState.OK if alive else CheckState.LIMITED, "runs" if alive else "none here", advice
        )


def front_end_finding(static: Path) -> Finding:
    """Whether the front-end packages are there."""
    if (static / "vendor" / "htmx.min.js").is_file():
        return Finding("front end", CheckState.OK, "htmx is there")
    return Finding("front end", CheckState.BROKEN, "htmx is missing, so no page can be shown", "Run make setup")


def pdf_finding() -> Finding:
    """Whether reports can be written as PDF."""
    try:
        import weasyprint
    except OSError as error:  # a library of the system is missing
        return Finding("PDF reports", CheckState.LIMITED, str(error).partition("\n")[0], "Install Pango: make packages")
    return Finding("PDF reports", CheckState.OK, f"WeasyPrint {weasyprint.__version__}")


def chromium_finding() -> Finding:
    """Whether browser tests could run; nothing else needs it."""
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    own = sorted((Path.home() / ".cache" / "ms-playwright").glob("chromium-*/chrome-*/chrome"))
    if found is None and not own:
        return Finding("Chromium", CheckState.LIMITED, "none", "Only the browser tests need it: make browser")
    return Finding("Chromium", CheckState.OK, found or str(own[-1]))


def _worker_findings(loaded: Settings) -> Iterator[Finding]:
    try:
        from worker.machine import worker_findings
    except ModuleNotFoundError as error:
        advice = "Pages work without them; to explain and collect install neuron-audit[worker]"
        yield Finding("worker's libraries", CheckState.LIMITED, f"{error.name} is missing", advice)
        return
    yield from worker_findings(loaded.device)
