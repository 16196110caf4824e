"""The methods that forms offer."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain.roles import Permission
from app.queries.methods.definitions import methods
from app.queries.people.accounts import Viewer


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method that a person may queue."""

    id: int
    label: str


def method_choices(session: Session) -> tuple[MethodChoice, ...]:
    """Every method that may be queued."""
    return tuple(MethodChoice(method.id, method.label) for method in methods(session))


def choices_for(session: Session, viewer: Viewer | None) -> tuple[MethodChoice, ...]:
    """What this viewer may queue with; empty for those who may not queue."""
    return method_choices(session) if viewer is not None and viewer.may(Permission.QUEUE) else ()
