"""Who may do what: the one table of roles, permissions and scopes.

Routes, templates, commands and API tokens all use this table. Pages hide controls whose use would be refused.
"""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """The role of an account. Each account has one role."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADJUDICATOR = "adjudicator"
    ADMINISTRATOR = "administrator"

    @property
    def permissions(self) -> "tuple[Permission, ...]":
        """The role's permissions, in the order of the table."""
        return tuple(permission for permission in Permission if permission in PERMISSIONS[self])


class Permission(StrEnum):
    """The permissions that a route may require."""

    READ = "read"
    """See neurons, explanations, scores, flags and campaigns. The only permission that needs no account by default."""
    READ_OPERATIONS = "read_operations"
    FLAG = "flag"
    KEEP_LISTS = "keep_lists"
    TRY = "try"
    REVIEW = "review"
    ADJUDICATE = "adjudicate"
    MANAGE_CAMPAIGNS = "manage_campaigns"
    QUEUE = "queue"
    CANCEL = "cancel"
    MANAGE_OWN_ACCOUNT = "manage_own_account"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_PROVIDERS = "manage_providers"

    @property
    def meaning(self) -> str:
        """What the permission allows, in words that follow "may"."""
        return _MEANINGS[self]


_MEANINGS: Mapping[Permission, str] = {
    Permission.READ: "read about neurons, explanations, scores, flags and campaigns",
    Permission.READ_OPERATIONS: "read prompts and replies, batches, tasks, spending and hosts of workers",
    Permission.FLAG: "flag an explanation",
    Permission.KEEP_LISTS: "keep lists of neurons, and searches under a name",
    Permission.TRY: "try a text on a neuron",
    Permission.REVIEW: "take items of campaigns and judge them, flags included",
    Permission.ADJUDICATE: "decide what reviewers disagree on, and send settled items back",
    Permission.MANAGE_CAMPAIGNS: "create, change and end campaigns, and add items or flags in bulk",
    Permission.QUEUE: "queue runs, checks and reviews by language models, and write explanations, which are scored",
    Permission.CANCEL: "cancel queued and running work",
    Permission.MANAGE_OWN_ACCOUNT: "change one's own password, sessions and tokens",
    Permission.MANAGE_PEOPLE: "invite people, change their roles, disable accounts and cap spending",
    Permission.MANAGE_PROVIDERS: "add, change and disable language models, their keys and prices",
}

_EVERYBODY = frozenset(
    {
        Permission.READ,
        Permission.READ_OPERATIONS,
        Permission.FLAG,
        Permission.KEEP_LISTS,
        Permission.TRY,
        Permission.MANAGE_OWN_ACCOUNT,
    }
)

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _EVERYBODY,
    Role.REVIEWER: _EVERYBODY | {Permission.REVIEW},
    Role.OPERATOR: _EVERYBODY | {Permission.QUEUE, Permission.CANCEL, Permission.MANAGE_CAMPAIGNS},
    Role.ADJUDICATOR: _EVERYBODY | {Permission.REVIEW, Permission.ADJUDICATE, Permission.MANAGE_CAMPAIGNS},
    Role.ADMINISTRATOR: frozenset(Permission),
}

ANONYMOUS = frozenset({Permission.READ})
"""The permissions of a visitor without an account, unless the settings require an account for everything."""


class TokenScope(StrEnum):
    """What a token allows a program to do, within the permissions of its account."""

    READ = "read"
    REVIEW = "review"
    QUEUE = "queue"
    ALL = "all"


IN_PERSON = frozenset({Permission.MANAGE_OWN_ACCOUNT, Permission.MANAGE_PEOPLE, Permission.MANAGE_PROVIDERS})
"""Permissions that no token has: accounts and tokens created with a token would outlive its revocation."""

_READING = frozenset({Permission.READ, Permission.READ_OPERATIONS})

SCOPES: Mapping[TokenScope, frozenset[Permission]] = {
    TokenScope.READ: _READING,
    TokenScope.REVIEW: _READING | {Permission.FLAG, Permission.REVIEW, Permission.ADJUDICATE},
    TokenScope.QUEUE: _READING | {Permission.TRY, Permission.QUEUE, Permission.CANCEL},
    TokenScope.ALL: frozenset(Permission) - IN_PERSON,
}


def may(role: Role | None, permission: Permission, *, scope: TokenScope | None = None) -> bool:
    """Whether a role has a permission, and the token's scope too.

    ``role`` is None for a visitor without an account; ``scope`` is None for a person at a browser.
    """
    allowed = ANONYMOUS if role is None else PERMISSIONS[role]
    return permission in allowed and (scope is None or permission in SCOPES[scope])


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """The roles that have this permission."""
    return tuple(role for role in Role if permission in PERMISSIONS[role])


def scopes_with(permission: Permission) -> tuple[TokenScope, ...]:
    """The token scopes that have this permission."""
    return tuple(scope for scope in TokenScope if permission in SCOPES[scope])


def permissions_table() -> str:
    """Markdown table of all permissions: what each allows, and the roles and scopes that have it."""
    lines = [
        f"| may | {' | '.join(Role)} | scopes of tokens |",
        f"|---|{'---|' * len(Role)}---|",
    ]
    for permission in Permission:
        roles = ("yes" if permission in PERMISSIONS[role] else "" for role in Role)
        scopes = ", ".join(f"`{scope}`" for scope in scopes_with(permission))
        lines.append(f"| {permission.meaning} | {' | '.join(roles)} | {scopes or 'none'} |")
    return "\n".join(lines)
