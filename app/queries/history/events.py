"""The append-only history."""

from typing import Any, Protocol

from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.models import Event


class OfNeuron(Protocol):
    """Whatever belongs to one neuron: a run, a flagged explanation, an item of a review."""

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
    """Append one line.

    ``detail`` holds references, and ``before`` and ``after`` where the change replaced something. The end of the
    transaction links the line to the one before it.
    """
    session.add(
        Event(kind=kind, account_id=account_id, subject_id=subject_id, neuron_id=neuron_id, detail=detail or {})
    )


def record_neuron_event(
    session: Session, *, kind: EventKind, about: OfNeuron, account_id: int | None, detail: dict[str, Any]
) -> None:
    """Append one line about a neuron. Its subject is named too, so that the subject's history holds the line."""
    record_event(
        session,
        kind=kind,
        account_id=account_id,
        subject_id=about.subject_id,
        neuron_id=about.neuron_id,
        detail=detail,
    )
