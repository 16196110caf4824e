"""The append-only history."""

from typing import Any

from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.models import Event


def record_event(
    session: Session,
    *,
    kind: EventKind,
    account_id: int | None = None,
    subject_id: int | None = None,
    neuron_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one line.

    ``detail`` holds references, and ``before`` and ``after`` where the change replaced something. The end of the
    transaction links the line to the one before it.
    """
    session.add(
        Event(kind=kind, account_id=account_id, subject_id=subject_id, neuron_id=neuron_id, detail=detail or {})
    )
