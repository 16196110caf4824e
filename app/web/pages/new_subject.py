"""A subject from a form: a model and a text are inspected by a worker at once, and collected when a person says so."""

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from fastapi import Depends
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, field_validator

from app.domain.bounds import (
    BIGGEST_INDEX,
    LONGEST_CONTEXT,
    LONGEST_FIELD,
    LONGEST_SEARCH,
    LONGEST_SLUG,
    LONGEST_SOURCE,
)
from app.domain.inspections import DATA_SET, HUB_MODEL, NAMED_CORPORA, Inspection, SubjectRequest, is_path
from app.domain.roles import Permission
from app.domain.slugs import is_slug, slug_of
from app.domain.work import INSPECTION, WorkStatus
from app.errors import Conflict, Invalid, NotFound
from app.queries.runs.progress import WorkerCount, worker_count
from app.queries.subjects.lookup import subject_names
from app.queries.work.tasks import TaskRow, task_detail
from app.settings import Settings
from app.transfer.folders import subject_folders, uploads_folder
from app.transfer.uploads import keep_upload
from app.web.deps import AppSettings, DbSession, IdInPath, IdInQuery, MayQueue, SentByOperator, allowed_to, validated
from app.web.http.routing import PageRouter
from app.web.http.uploads import MOST_BODY_BYTES, SentFile
from app.web.rendering.templating import page
from app.work.collections import enqueue_inspection, enqueue_requested_collection

router = PageRouter(dependencies=[Depends(allowed_to(Permission.QUEUE), scope="function")])

SHOWN_FOLDERS = 200
FIRST_TOKENS = 1_000_000
"""What the form proposes to read."""


@dataclass(frozen=True, slots=True)
class SubjectsNew:
    """The form, with what was sent before where an inspection is changed."""

    before: SubjectRequest | None
    folders: tuple[str, ...]
    """Below which models and texts may be named."""
    models: tuple[str, ...]
    """Folders below them that hold a model, where this process sees them."""
    named_corpora: tuple[str, ...]
    first_tokens: int
    most_megabytes: int


@dataclass(frozen=True, slots=True)
class SubjectsInspection:
    """What a worker has found out about a model and a text, and the button that queues the collection."""

    task: TaskRow
    request: SubjectRequest
    found: Inspection | None
    """None while the worker is at it, and where it failed."""
    is_known: bool
    """Whether there is a subject of this name."""
    workers: WorkerCount
    address: str

    @property
    def is_busy(self) -> bool:
        """Whether a worker is still to do something."""
        return self.task.status.is_active


class SubjectForm(BaseModel):
    """What a person wants to collect, but for an uploaded text."""

    model: str = Field(max_length=LONGEST_SOURCE)
    corpus: str = Field(default="", max_length=LONGEST_SOURCE)
    slug: str = Field(default="", max_length=LONGEST_SLUG)
    name: str = Field(default="", max_length=LONGEST_SEARCH)
    revision: str = Field(default="", max_length=LONGEST_SEARCH)
    text_field: str = Field(default="text", max_length=LONGEST_FIELD)
    context_length: int = Field(default=64, ge=1, le=LONGEST_CONTEXT)
    max_tokens: int | None = Field(default=None, ge=1, le=BIGGEST_INDEX)
    null_twin: bool = False

    @field_validator("*", mode="before")
    @classmethod
    def _trimmed(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _no_limit(cls, value: Any) -> Any:
        return None if value == "" else value


@page(router, "/subjects/new", template="subjects/new.html")
def new_subject(
    session: DbSession,
    settings: AppSettings,
    again: IdInQuery = None,
) -> SubjectsNew:
    """The form of a new subject; ``again`` is an inspection whose form is filled in again."""
    folders = subject_folders(settings)
    return SubjectsNew(
        before=None if again is None else _inspection(session, again)[1],
        folders=tuple(str(folder) for folder in folders),
        models=_models(folders),
        named_corpora=NAMED_CORPORA,
        first_tokens=FIRST_TOKENS,
        most_megabytes=settings.upload_megabytes,
    )


@router.post("/subjects/new", include_in_schema=False, max_body_size=MOST_BODY_BYTES)
def inspect(session: DbSession, settings: AppSettings, viewer: MayQueue, form: SentByOperator) -> Response:
    """Keep the text, and let a worker inspect both."""
    request = _request(settings, validated(SubjectForm, form), form.file)
    task = enqueue_inspection(session, request=request, account_id=viewer.id)
    return RedirectResponse(f"/subjects/new/{task.id}", status_code=303)


@page(router, "/subjects/new/{task_id}", template="subjects/inspection.html", partial="subjects/_inspection.html")
def inspection(session: DbSession, task_id: IdInPath) -> SubjectsInspection:
    """An inspection: how far it is, what it has found, or why model or text cannot be used."""
    task, request, found = _inspection(session, task_id)
    return SubjectsInspection(
        task=task,
        request=request,
        found=found,
        is_known=any(subject.slug == request.slug for subject in subject_names(session)),
        workers=worker_count(session),
        address=f"/subjects/new/{task_id}",
    )


@router.post("/subjects/new/{task_id}/collect", include_in_schema=False)
def collect(session: DbSession, viewer: MayQueue, task_id: IdInPath) -> Response:
    """Queue the collection of what was inspected."""
    _, request, found = _inspection(session, task_id)
    if found is None:
        raise Conflict(
            "The inspection has not succeeded. A collection is queued once model and text are known to work."
        )
    task = enqueue_requested_collection(session, request=request, account_id=viewer.id)
    return RedirectResponse(f"/tasks/{task.id}", status_code=303)


def _inspection(session: DbSession, task_id: int) -> tuple[TaskRow, SubjectRequest, Inspection | None]:
    detail = task_detail(session, task_id=task_id)
    if detail.task.kind != INSPECTION.name:
        raise NotFound("There is no such inspection.")
    succeeded = detail.task.status is WorkStatus.SUCCEEDED
    found = Inspection.of(detail.result) if succeeded else None
    return detail.task, SubjectRequest(**detail.parameters["request"]), found


def _request(settings: Settings, form: SubjectForm, file: SentFile | None) -> SubjectRequest:
    """What is wanted. Raises Invalid for what no worker could use, and for no text, or two."""
    slug = form.slug or slug_of(form.model.rpartition("/")[2])
    if not is_slug(slug):
        raise Invalid(f"{slug!r} cannot be a subject's name in addresses: use a-z, 0-9 and . _ - alone.")
    _check_name(form.model, settings, HUB_MODEL.fullmatch(form.model) is not None, "model", "org/name of the hub")
    if (file is None) == (form.corpus == ""):
        raise Invalid("Choose one text: a file of yours, or a path or name. Not both.")
    if file is None:
        is_named = form.corpus in NAMED_CORPORA or DATA_SET.fullmatch(form.corpus) is not None
        _check_name(form.corpus, settings, is_named, "text", "datasets:NAME")
        corpus = form.corpus
    else:
        corpus = str(keep_upload(file.content, file.name, uploads_folder(settings)))
    return SubjectRequest(
        slug=slug,
        model=form.model,
        corpus=corpus,
        name=form.name or None,
        revision=form.revision or None,
        text_field=form.text_field or "text",
        context_length=form.context_length,
        max_tokens=form.max_tokens,
        null_twin=form.null_twin,
    )


def _check_name(text: str, settings: Settings, is_named: bool, what: str, otherwise: str) -> None:
    """Raises Invalid for a path outside the folders and for a malformed name. The worker follows links, and looks."""
    if is_named:
        return
    folders = (*subject_folders(settings), *((uploads_folder(settings),) if what == "text" else ()))
    if not is_path(text):
        raise Invalid(f"{text[:80]!r} is no {what}: give an absolute path, or {otherwise}.")
    path = FilePath(text)
    if ".." in path.parts or not any(path.is_relative_to(folder) for folder in folders):
        named = ", ".join(str(folder) for folder in subject_folders(settings))
        raise Invalid(f"{text[:80]} is not below a folder that pages may read: {named}.")


def _models(folders: tuple[FilePath, ...]) -> tuple[str, ...]:
    """Folders that hold a model, at most two levels down."""
    found = [
        str(file.parent)
        for folder in folders
        for pattern in ("config.json", "*/config.json", "*/*/config.json")
        for file in folder.glob(pattern)
    ]
    return tuple(sorted(found)[:SHOWN_FOLDERS])
