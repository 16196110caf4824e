"""Queueing of embeddings: of a subject's explanations, of new ones, of a searched text."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.embeddings import EmbeddingSource, text_digest
from app.domain.work import EMBEDDING, QUERY_EMBEDDING, WorkStatus
from app.errors import Invalid
from app.models import Task
from app.queries.embeddings.lookup import model_in_use
from app.queries.embeddings.store import has_missing
from app.queries.subjects.lookup import named_subject
from app.work.tasks import QueuedTask, enqueue_task
from app.work.trials import require_patience

COMMITTED_LATE = 1_000
"""Number of explanations before the newest one that are checked again, since they may have been committed after it."""


def enqueue_embedding(
    session: Session,
    *,
    slug: str,
    source: EmbeddingSource,
    account_id: int | None,
    price_cap: float | None = None,
) -> QueuedTask:
    """Queue the embedding of a subject's explanations, unless that is queued already. Raises NotFound.

    ``price_cap`` is the most that its calls may cost; the account's cap per day applies too.
    """
    subject = named_subject(session, slug=slug)
    return enqueue_task(
        session,
        kind=EMBEDDING,
        title=slug,
        account_id=account_id,
        subject_id=subject.id,
        provider=source.provider,
        unique_key=f"{EMBEDDING.name}:{subject.id}",
        parameters={"slug": slug, "subject_id": subject.id, "source": source.key, "price_cap": price_cap},
    )


def enqueue_query(session: Session, *, source: EmbeddingSource, text: str, account_id: int) -> QueuedTask:
    """Queue the embedding of a searched text, unless it is queued already.

    Raises Invalid for an empty text, Conflict if too many texts of the account wait.
    """
    if not text:
        raise Invalid("There is nothing to search for. Describe what explanations should mean.")
    require_patience(session, account_id)
    return enqueue_task(
        session,
        kind=QUERY_EMBEDDING,
        title="a text",
        account_id=account_id,
        provider=source.provider,
        unique_key=f"{QUERY_EMBEDDING.name}:{source.key}:{text_digest(text).hex()}",
        parameters={"source": source.key, "text": text},
    )


def enqueue_new_explanations(session: Session, *, source: EmbeddingSource) -> None:
    """Queue the embedding of explanations that are newer than the last embedding of their subject.

    Only for subjects that a person has had embedded by this source. It runs in this person's name, at their cost and
    under the same cap. Not if the last embedding ended without a result, since the next one would too.
    """
    model = model_in_use(session, source=source)
    if model is None:
        return
    newest = select(func.max(Task.id)).where(Task.kind == EMBEDDING.name).group_by(Task.subject_id)
    for task in session.scalars(select(Task).where(Task.id.in_(newest), Task.status == WorkStatus.SUCCEEDED)):
        parameters, result = task.parameters, task.result or {}
        above = result.get("newest_explanation", 0) - COMMITTED_LATE
        if parameters["source"] == source.key and has_missing(
            session, subject_id=parameters["subject_id"], model_id=model.id, above=above
        ):
            enqueue_embedding(
                session,
                slug=parameters["slug"],
                source=source,
                account_id=task.account_id,
                price_cap=parameters.get("price_cap"),
            )
