"""Who may do what. Pages use the same rules to hide what would be refused."""

from enum import StrEnum


class Role(StrEnum):
    """What an account may do. Reading about neurons needs no account unless the settings require one."""

    READER = "reader"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class TokenScope(StrEnum):
    """What a program may do with a token, at most what its account may."""

    READ = "read"
    """Only look."""
    ALL = "all"
    """All that the account may do."""


class Action(StrEnum):
    """Everything that needs an account: to change something, or to read what is not about neurons."""

    READ_OPERATIONS = "read_operations"
    """Prompts and replies, base URLs, batches, spending by person, hosts of workers."""
    FLAG = "flag"
    REVIEW = "review"
    """Take items of campaigns and judge them; resolving a flag is that too."""
    ADJUDICATE = "adjudicate"
    """Decide what reviewers disagree on; send settled items back."""
    MANAGE_CAMPAIGNS = "manage_campaigns"
    QUEUE = "queue"
    CANCEL = "cancel"
    TRY = "try"
    MANAGE_PEOPLE = "manage_people"
    """Invite people, change their roles, disable accounts."""


_ALLOWED: dict[Action, frozenset[Role]] = {
    Action.READ_OPERATIONS: frozenset(Role),
    Action.FLAG: frozenset(Role),
    Action.REVIEW: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.ADJUDICATE: frozenset({Role.ADMIN}),
    Action.MANAGE_CAMPAIGNS: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.QUEUE: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.CANCEL: frozenset({Role.REVIEWER, Role.ADMIN}),
    Action.TRY: frozenset(Role),
    Action.MANAGE_PEOPLE: frozenset({Role.ADMIN}),
}


READING = frozenset({Action.READ_OPERATIONS})
"""Actions that change nothing."""


def may(role: Role, action: Action, *, scope: TokenScope = TokenScope.ALL) -> bool:
    """Whether an account of this role may do this, by a token of this scope."""
    return role in _ALLOWED[action] and (scope is TokenScope.ALL or action in READING)
