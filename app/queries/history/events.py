"""The append-only history."""

from typing import Any, Protocol

from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.models import Event


class OfNeuron(Protocol):
    """An object with a neuron: a run, a flagged explanation, an item of a review."""

    @property
    def neuron_id(self) -> int: ...
    @property
    def subject_id(self) -> int: ...


def record_event(
    session: Session,
    *,
    kind: EventKind,
    account_id: int | None = None,
    subject_id: int | None = None,
    neuron_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one event.

    ``detail`` has references, and ``before`` and ``after`` if the change replaced something. At the end of the
    transaction, a trigger links the event to the one before it.
    """
    session.add(
        Event(kind=kind, account_id=account_id, subject_id=subject_id, neuron_id=neuron_id, detail=detail or {})
    )


def record_neuron_event(
    session: Session, *, kind: EventKind, about: OfNeuron, account_id: int | None, detail: dict[str, Any]
) -> None:
    """Append one event about a neuron. Its subject is recorded too, so that the subject's history shows the event."""
    record_event(
        session,
        kind=kind,
        account_id=account_id,
        subject_id=about.subject_id,
        neuron_id=about.neuron_id,
        detail=detail,
    )
