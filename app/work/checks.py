"""Queue a check: a subject's explanations executed on every token of its newest collection's corpus."""

from sqlalchemy.orm import Session

from app.domain.work import CHECK
from app.errors import Conflict
from app.queries.checks.store import collection_to_check, has_unchecked_explanations
from app.work.tasks import QueuedTask, enqueue_task


def enqueue_check(session: Session, *, slug: str, account_id: int | None) -> QueuedTask:
    """Queue a check of a subject, unless one is queued or running already.

    Raises NotFound for a subject without a complete collection, Conflict if there is no explanation to check.
    """
    checked = collection_to_check(session, slug=slug)
    if not has_unchecked_explanations(session, subject_id=checked.subject_id, collection_id=checked.collection_id):
        raise Conflict("Every explanation of this subject has been checked on its newest collection.")
    return enqueue_task(
        session,
        kind=CHECK,
        title=slug,
        account_id=account_id,
        subject_id=checked.subject_id,
        unique_key=f"{CHECK.name}:{checked.subject_id}",
        parameters={"slug": slug},
    )


def enqueue_check_of_new_collection(session: Session, *, slug: str) -> None:
    """Queue a check after a collection, if the subject has explanations."""
    checked = collection_to_check(session, slug=slug)
    if has_unchecked_explanations(session, subject_id=checked.subject_id, collection_id=checked.collection_id):
        enqueue_check(session, slug=slug, account_id=None)
