"""The methods that forms offer."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain.roles import Permission
from app.queries.methods.definitions import NewestMethod, methods
from app.queries.people.accounts import Viewer


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method that a person may queue."""

    id: int
    label: str


def method_choices(session: Session) -> tuple[MethodChoice, ...]:
    """Every method that may be queued."""
    return choices_of(methods(session))


def choices_of(offered: Iterable[NewestMethod]) -> tuple[MethodChoice, ...]:
    """Methods as a form offers them."""
    return tuple(MethodChoice(method.id, method.label) for method in offered)


def choices_for(session: Session, viewer: Viewer | None) -> tuple[MethodChoice, ...]:
    """What this viewer may queue with; empty for those who may not queue."""
    return method_choices(session) if may_queue(viewer) else ()


def may_queue(viewer: Viewer | None) -> bool:
    """Whether forms offer this viewer methods."""
    return viewer is not None and viewer.may(Permission.QUEUE)
