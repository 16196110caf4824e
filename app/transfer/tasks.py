"""Queue imports and exports, which a worker then runs as the commands would."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from app.domain.imports import DataFormat
from app.domain.slugs import is_slug
from app.domain.work import EXPORT, IMPORT
from app.errors import Invalid
from app.queries.subjects.lookup import subject_head
from app.transfer.exporting import ExportRequest
from app.transfer.importing import ImportRequest
from app.transfer.sources import Location
from app.work.tasks import QueuedTask, enqueue_task


def enqueue_import(
    session: Session, *, location: Location, request: ImportRequest, account_id: int | None
) -> QueuedTask:
    """Queue an import. The worker must find a local source under the same path.

    Raises Invalid for a slug that no address can hold, and for a source that is not there.
    """
    if not is_slug(request.slug):
        raise Invalid(f"{request.slug!r} cannot be a subject's name in addresses: use a-z, 0-9 and . _ - alone.")
    location = location.absolute()
    location.opened()
    return enqueue_task(
        session,
        kind=IMPORT,
        title=f"{request.slug} from {location.source}",
        account_id=account_id,
        unique_key=f"{IMPORT.name}:{request.slug}:{request.collection}:{location.source}",
        parameters={"slug": request.slug, "location": asdict(location), "request": asdict(request)},
    )


def import_of(parameters: Mapping[str, Any]) -> tuple[Location, ImportRequest]:
    """The location and parameters of a queued import."""
    request = dict(parameters["request"])
    format = request.pop("format")
    return Location(**parameters["location"]), ImportRequest(
        format=None if format is None else DataFormat(format), **request
    )


def enqueue_export(session: Session, *, request: ExportRequest, account_id: int | None) -> QueuedTask:
    """Queue an export. Raises NotFound for an unknown subject."""
    head = subject_head(session, slug=request.slug)
    return enqueue_task(
        session,
        kind=EXPORT,
        title=f"{request.slug} as {request.format.label}",
        account_id=account_id,
        subject_id=head.id,
        unique_key=f"{EXPORT.name}:{request.slug}:{request.format}",
        parameters={"slug": request.slug, "format": str(request.format)},
    )


def export_of(parameters: Mapping[str, Any]) -> ExportRequest:
    """The parameters of a queued export."""
    return ExportRequest(parameters["slug"], DataFormat(parameters["format"]))
