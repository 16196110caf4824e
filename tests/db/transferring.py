"""Importing a path, and exporting a subject to one."""

from pathlib import Path
from typing import Any

from app.db import Sessions
from app.domain.imports import DataFormat
from app.formats.sources.opening import local_source
from app.transfer.exporting import ExportRequest, run_export
from app.transfer.importing import ImportRequest, run_import


def bring(sessions: Sessions, path: Path, slug: str, **values: Any) -> None:
    run_import(sessions, local_source(path), ImportRequest(slug, **values), tell=lambda _: None)


def take(sessions: Sessions, slug: str, format: DataFormat, target: Path) -> Path:
    run_export(sessions, ExportRequest(slug, format), target, tell=lambda _: None)
    return target
