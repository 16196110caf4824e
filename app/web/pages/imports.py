"""Imports and exports: queued from a form, watched, and what was refused."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import Depends, Form
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from app.domain.bounds import LONGEST_FIELD, LONGEST_SEARCH, LONGEST_SLUG, LONGEST_SOURCE
from app.domain.imports import WRITTEN, DataFormat, ImportStatus
from app.domain.roles import Permission
from app.domain.slugs import is_slug
from app.domain.work import EXPORT, WorkStatus
from app.errors import Invalid, NotFound
from app.formats.problems import ReadingProblem
from app.formats.sources.opening import is_address
from app.queries.imports.shown import show_collection
from app.queries.imports.state import MOST_KEPT, ImportRow, import_problems, import_row, imports
from app.queries.subjects.lookup import SubjectName, subject_names
from app.queries.work.tasks import task_detail
from app.settings import Settings
from app.transfer.exporting import ExportRequest
from app.transfer.folders import exports_folder, imports_folder
from app.transfer.importing import ImportRequest
from app.transfer.sources import Location
from app.transfer.tasks import enqueue_export, enqueue_import
from app.transfer.uploads import add_upload
from app.web.deps import (
    AppSettings,
    CurrentViewer,
    DbSession,
    IdInPath,
    MayQueue,
    SentByOperator,
    allowed_to,
    validated,
)
from app.web.http.routing import PageRouter
from app.web.http.uploads import MOST_BODY_BYTES, SentFile
from app.web.rendering.templating import page

router = PageRouter(dependencies=[Depends(allowed_to(Permission.READ_OPERATIONS), scope="function")])

SHOWN = 50
SHOWN_FILES = 200
SHOWN_PROBLEMS = 500
SILENT = timedelta(seconds=60)
"""An import that has stored nothing for so long is shown as stopped."""


@dataclass(frozen=True, slots=True)
class ImportShown:
    """An import, and whether a process seems to be running it."""

    row: ImportRow
    is_busy: bool

    @property
    def state(self) -> ImportStatus | Literal["stopped"]:
        """In a word, for lists."""
        if self.row.status is ImportStatus.RUNNING and not self.is_busy:
            return "stopped"
        return self.row.status


@dataclass(frozen=True, slots=True)
class ImportsPage:
    """The newest imports, and the forms that queue more."""

    imports: tuple[ImportShown, ...]
    folder: str
    files: tuple[str, ...]
    """What the folder holds that a person may import from."""
    formats: tuple[DataFormat, ...]
    written: tuple[DataFormat, ...]
    subjects: tuple[SubjectName, ...]
    most_megabytes: int
    may_queue: bool

    @property
    def is_busy(self) -> bool:
        """Whether something on this page still changes."""
        return any(shown.is_busy for shown in self.imports)


@dataclass(frozen=True, slots=True)
class ImportsImport:
    """One import: how far it is, and what it refused."""

    shown: ImportShown
    problems: tuple[ReadingProblem, ...]
    most_kept: int
    address: str
    may_show: bool
    """Whether the viewer may let the subject's pages show this import's records, and they show others."""


class ImportForm(BaseModel):
    """What a person wants to import. ``source`` is a name in the folder of imports, or an HTTP address, or empty."""

    source: str = Field(default="", max_length=LONGEST_SOURCE)
    subject: str = Field(max_length=LONGEST_SLUG)
    format: str = Field(default="", max_length=LONGEST_FIELD)
    collection: str = Field(default="", max_length=LONGEST_SEARCH)
    name: str = Field(default="", max_length=LONGEST_SEARCH)
    model: str = Field(default="", max_length=LONGEST_SEARCH)
    layers: str = Field(default="", max_length=LONGEST_SEARCH)
    indices: str = Field(default="", max_length=LONGEST_SEARCH)


class ExportForm(BaseModel):
    """What a person wants to export."""

    subject: str = Field(max_length=LONGEST_SLUG)
    format: str = Field(max_length=LONGEST_FIELD)


@page(router, "/imports", template="imports/page.html", partial="imports/_imports.html")
def imports_page(session: DbSession, settings: AppSettings, viewer: CurrentViewer) -> ImportsPage:
    """Imports, newest first, and the forms to import and export."""
    folder = imports_folder(settings)
    return ImportsPage(
        imports=tuple(_shown(row) for row in imports(session, limit=SHOWN)),
        folder=str(folder),
        files=_files(folder),
        formats=tuple(DataFormat),
        written=WRITTEN,
        subjects=subject_names(session),
        most_megabytes=settings.upload_megabytes,
        may_queue=viewer is not None and viewer.may(Permission.QUEUE),
    )


@page(router, "/imports/{import_id}", template="imports/import.html", partial="imports/_import.html")
def one_import(session: DbSession, viewer: CurrentViewer, import_id: IdInPath) -> ImportsImport:
    """One import: its progress, its counts, and every problem with its file, line, field and reason."""
    row = import_row(session, import_id=import_id)
    if row is None:
        raise NotFound("There is no such import.")
    problems = import_problems(session, import_id=import_id, limit=SHOWN_PROBLEMS)
    may_show = row.status is ImportStatus.COMPLETE and not row.is_shown
    may_show = may_show and viewer is not None and viewer.may(Permission.QUEUE)
    return ImportsImport(_shown(row), problems, MOST_KEPT, f"/imports/{import_id}", may_show)


@router.post("/imports", include_in_schema=False, max_body_size=MOST_BODY_BYTES)
def start_import(session: DbSession, settings: AppSettings, viewer: MayQueue, sent: SentByOperator) -> Response:
    """Queue an import for a worker; an uploaded file is added to the folder of imports."""
    form = validated(ImportForm, sent)
    request = ImportRequest(
        form.subject.strip(),
        _format(form.format),
        form.collection.strip() or None,
        form.name.strip() or None,
        form.model.strip() or None,
    )
    location = _location(settings, form, sent.file)
    task = enqueue_import(session, location=location, request=request, account_id=viewer.id)
    return RedirectResponse(f"/tasks/{task.id}", status_code=303)


@router.post("/imports/{import_id}/show", include_in_schema=False)
def show_import(session: DbSession, viewer: MayQueue, import_id: IdInPath) -> Response:
    """Let the subject's pages show the records of an import in place of those that they show."""
    row = import_row(session, import_id=import_id)
    if row is None:
        raise NotFound("There is no such import.")
    slug = show_collection(session, collection_id=row.collection_id, account_id=viewer.id)
    return RedirectResponse(f"/{slug}", status_code=303)


@router.post("/exports", include_in_schema=False)
def start_export(session: DbSession, viewer: MayQueue, form: Annotated[ExportForm, Form()]) -> Response:
    """Queue an export for a worker."""
    format = _format(form.format)
    if format is None:
        raise Invalid("Choose a format.")
    task = enqueue_export(session, request=ExportRequest(form.subject, format), account_id=viewer.id)
    return RedirectResponse(f"/tasks/{task.id}", status_code=303)


@router.get("/exports/{task_id}", include_in_schema=False)
def exported_file(session: DbSession, settings: AppSettings, viewer: MayQueue, task_id: IdInPath) -> Response:
    """The file that an export has written."""
    detail = task_detail(session, task_id=task_id)
    if detail.task.kind != EXPORT.name:
        raise NotFound("There is no such export.")
    if detail.task.status != WorkStatus.SUCCEEDED:
        return RedirectResponse(f"/tasks/{task_id}", status_code=303)
    path = exports_folder(settings) / str(detail.result["file"])
    if not path.is_file():
        raise NotFound("The file of this export is not on this machine any more. Export the subject again.")
    return FileResponse(path, filename=path.name, media_type="application/octet-stream")


def _shown(row: ImportRow) -> ImportShown:
    is_busy = row.status is ImportStatus.RUNNING and datetime.now(UTC) - row.seen_at < SILENT
    return ImportShown(row, is_busy)


def _files(folder: FilePath) -> tuple[str, ...]:
    """The names in the folder of imports, hidden ones and links left out."""
    if not folder.is_dir():
        return ()
    names = (path.name for path in folder.iterdir() if not path.name.startswith(".") and not path.is_symlink())
    return tuple(sorted(names)[:SHOWN_FILES])


def _check_target(form: ImportForm) -> None:
    """Raises Invalid before a file is kept for an import that cannot be queued."""
    if not is_slug(form.subject.strip()):
        raise Invalid(f"{form.subject[:40]!r} cannot be a subject's name in addresses: use a-z, 0-9 and . _ - alone.")


def _format(text: str) -> DataFormat | None:
    try:
        return DataFormat(text) if text else None
    except ValueError:
        raise Invalid(f"There is no format {text[:40]!r}.") from None


def _location(settings: Settings, form: ImportForm, file: SentFile | None) -> Location:
    """Where to import from. Raises Invalid for what is neither in the folder of imports nor an HTTP address."""
    source = form.source.strip()
    if (file is None) == (source == ""):
        raise Invalid("Choose one source: a file of yours, or a name or address. Not both.")
    if file is not None:
        _check_target(form)
        return Location(str(add_upload(file.content, file.name, imports_folder(settings).resolve())))
    if is_address(source):
        return Location(source, form.layers.strip() or None, form.indices.strip() or None)
    if source not in _files(imports_folder(settings)):
        raise Invalid(f"There is no {source[:40]!r} in {imports_folder(settings)}. Pages import from there alone.")
    return Location(str(imports_folder(settings).resolve() / source))
