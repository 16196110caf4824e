"""The state of a collection: begun, running under a lease, resumed, failed. Its results are in ``collections``."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from app.domain.collections import CollectionStage, CollectionStatus
from app.models import Collection, Subject

FIRST_LEASE_SECONDS = 60.0
"""Seconds of the lease of a collection that was just begun or resumed, until its process renews it."""


@dataclass(frozen=True, slots=True)
class BegunCollection:
    """A collection stored by an earlier call, with the ids of its rows."""

    collection_id: int
    subject_id: int
    corpus_id: int
    tokenizer_id: int


@dataclass(frozen=True, slots=True)
class CompletedCollection:
    """The results of a complete collection."""

    collection_id: int
    tokens: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectionProgress:
    """The progress of one process: ``share`` of the stage, 0..1; ``tokens`` read by ``part``, None before the pass."""

    stage: CollectionStage
    share: float
    part: str
    tokens: int | None = None
    tokens_per_second: float | None = None


def start_collection(session: Session, **values: Any) -> int:
    """Store a running collection; ``values`` are its columns. Returns its id."""
    collection = Collection(lease_until=_in_seconds(FIRST_LEASE_SECONDS), **values)
    session.add(collection)
    session.flush()  # the caller needs the id
    return collection.id


def begun_collection(session: Session, *, key: uuid.UUID) -> BegunCollection | None:
    """The collection with this key; None if there is none."""
    row = session.execute(
        select(Collection.id, Collection.subject_id, Collection.corpus_id, Subject.tokenizer_id)
        .join(Subject, Subject.id == Collection.subject_id)
        .where(Collection.key == key)
    ).first()
    return None if row is None else BegunCollection(*row)


def completed_collection(session: Session, *, key: uuid.UUID) -> CompletedCollection | None:
    """The collection with this key; None if there is none or it is not complete."""
    found = session.scalar(
        select(Collection).where(Collection.key == key, Collection.status == CollectionStatus.COMPLETE)
    )
    return None if found is None else CompletedCollection(found.id, found.tokens_done, tuple(found.notes))


def collection_status(session: Session, *, collection_id: int) -> CollectionStatus | None:
    """The state of a collection; None if there is none."""
    found = session.scalar(select(Collection.status).where(Collection.id == collection_id))
    return None if found is None else CollectionStatus(found)


def resume_collection(session: Session, *, collection_id: int) -> None:
    """Set a collection to running again."""
    session.execute(
        update(Collection)
        .where(Collection.id == collection_id, Collection.status != CollectionStatus.COMPLETE)
        .values(status=CollectionStatus.RUNNING, error=None, lease_until=_in_seconds(FIRST_LEASE_SECONDS))
    )


def report_progress(
    session: Session, *, collection_id: int, progress: CollectionProgress, lease_seconds: float
) -> None:
    """Store the progress of a running collection, and renew its lease."""
    running = (Collection.id == collection_id, Collection.status == CollectionStatus.RUNNING)
    parts = session.scalar(select(Collection.part_tokens).where(*running).with_for_update())
    if parts is None:
        return
    values: dict[str, Any] = {"stage": progress.stage, "progress": progress.share}
    if progress.tokens is not None:
        of = progress.part.partition("/")[2]
        others = {part: tokens for part, tokens in parts.items() if part.endswith(f"/{of}")}
        parts = {**others, progress.part: progress.tokens}
        values |= {"part_tokens": parts, "tokens_done": sum(parts.values())}
        # If several processes collect, the speed of one is not that of the collection.
        values["tokens_per_second"] = progress.tokens_per_second if of == "1" else None
    session.execute(update(Collection).where(*running).values(lease_until=_in_seconds(lease_seconds), **values))


def release_collection(session: Session, *, collection_id: int) -> None:
    """End the lease of a running collection when this process leaves it. Other parts renew it soon."""
    session.execute(
        update(Collection)
        .where(Collection.id == collection_id, Collection.status == CollectionStatus.RUNNING)
        .values(lease_until=func.now())
    )


def fail_collection(session: Session, *, collection_id: int, error: str) -> None:
    """Mark a running collection as failed, with the reason. A complete one stays complete."""
    session.execute(
        update(Collection)
        .where(Collection.id == collection_id, Collection.status == CollectionStatus.RUNNING)
        .values(status=CollectionStatus.FAILED, error=error, lease_until=func.now())
    )


def _in_seconds(seconds: float) -> ColumnElement[datetime]:
    return func.now() + timedelta(seconds=seconds)
