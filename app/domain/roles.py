"""Who may do what. The one place: pages ask it, and hide what would be refused."""

from enum import StrEnum


class Role(StrEnum):
    """What an account is trusted with. Reading needs no account."""

    READER = "reader"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class Action(StrEnum):
    """Everything that changes something."""

    FLAG = "flag"
    RESOLVE_FLAG = "resolve_flag"
    QUEUE = "queue"
    CANCEL = "cancel"
    TRY = "try"


_ALLOWED: dict[Action, frozenset[Role]] = {
    Action.FLAG: frozenset(Role),
    Action.RESOLVE_FLAG: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.QUEUE: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.CANCEL: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.TRY: frozenset(Role),
}


def may(role: Role, action: Action) -> bool:
    """Whether an account of this role may do this."""
    return role in _ALLOWED[action]
