"""Queueing of collections, and of the inspections before collections from a form."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.domain.inspections import SubjectRequest
from app.domain.work import COLLECTION, INSPECTION
from app.work.tasks import QueuedTask, enqueue_task


def enqueue_collection(
    session: Session,
    *,
    slug: str,
    parameters: Mapping[str, Any],
    account_id: int | None,
    part: str = "1/1",
) -> QueuedTask:
    """Queue a collection, unless the same part of it is queued or running already.

    ``slug`` is that of the resulting subject. ``parameters``: ``model``, ``corpus``, ``arguments`` (the fields
    of ``worker.collection.command.CollectArguments``); with ``is_confined`` paths must be below the folders that pages
    may read, with ``then_null_twin`` the null twin is queued when the collection is stored.
    """
    return enqueue_task(
        session,
        kind=COLLECTION,
        title=slug,
        account_id=account_id,
        unique_key=f"{COLLECTION.name}:{slug}:{part}",
        parameters={**parameters, "slug": slug},
    )


def enqueue_inspection(session: Session, *, request: SubjectRequest, account_id: int) -> QueuedTask:
    """Queue the inspection of a model and a text before a collection."""
    return enqueue_task(
        session, kind=INSPECTION, title=request.slug, account_id=account_id, parameters={"request": request.as_json()}
    )


def enqueue_requested_collection(session: Session, *, request: SubjectRequest, account_id: int) -> QueuedTask:
    """Queue the collection that a form requests."""
    return enqueue_collection(
        session,
        slug=request.slug,
        account_id=account_id,
        parameters={
            "model": request.model,
            "corpus": request.corpus,
            "arguments": request.arguments(),
            "is_confined": True,
            "then_null_twin": request.null_twin,
        },
    )
