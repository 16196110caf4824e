"""Queueing of the making of a campaign's controls. A worker makes them: only it parses the lexical language."""

from sqlalchemy.orm import Session

from app.domain.work import CONTROLS
from app.work.tasks import QueuedTask, enqueue_task


def enqueue_controls(
    session: Session, *, campaign_id: int, name: str, subject_id: int, account_id: int | None
) -> QueuedTask:
    """Queue the task that makes the controls of a campaign that is being prepared."""
    return enqueue_task(
        session,
        kind=CONTROLS,
        title=name,
        account_id=account_id,
        subject_id=subject_id,
        unique_key=f"{CONTROLS.name}:{campaign_id}",
        parameters={"campaign_id": campaign_id},
    )
