"""Queueing of probes. Workers probe language models, since only workers connect to endpoints."""

from sqlalchemy.orm import Session

from app.domain.work import PROBE
from app.queries.language_models.providers import provider_of
from app.work.tasks import QueuedTask, enqueue_task


def enqueue_probe(session: Session, *, provider_id: int, account_id: int) -> QueuedTask:
    """Queue the probe of a language model. Raises NotFound.

    The task has no ``provider``, so that a paused or disabled model can be probed.
    """
    row = provider_of(session, provider_id=provider_id)
    return enqueue_task(
        session,
        kind=PROBE,
        title=row.name,
        account_id=account_id,
        unique_key=f"{PROBE.name}:{provider_id}",
        parameters={"provider_id": provider_id, "provider": row.name},
    )
