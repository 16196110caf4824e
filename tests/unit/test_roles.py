from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import cli
from app.domain.roles import (
    ANONYMOUS,
    IN_PERSON,
    PERMISSIONS,
    SCOPES,
    Permission,
    Role,
    TokenScope,
    may,
    permissions_table,
    roles_with,
)

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def test_administrators_may_do_everything() -> None:
    assert PERMISSIONS[Role.ADMINISTRATOR] == set(Permission)


@pytest.mark.parametrize("role", Role)
def test_every_role_may_do_what_a_viewer_may_and_a_viewer_what_a_visitor_may(role: Role) -> None:
    assert PERMISSIONS[role] >= PERMISSIONS[Role.VIEWER] >= ANONYMOUS


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        (Permission.REVIEW, {Role.REVIEWER, Role.ADJUDICATOR, Role.ADMINISTRATOR}),
        (Permission.QUEUE, {Role.OPERATOR, Role.ADMINISTRATOR}),
        (Permission.ADJUDICATE, {Role.ADJUDICATOR, Role.ADMINISTRATOR}),
        (Permission.MANAGE_PEOPLE, {Role.ADMINISTRATOR}),
        (Permission.MANAGE_PROVIDERS, {Role.ADMINISTRATOR}),
    ],
)
def test_who_judges_who_spends_and_who_decides_are_different_roles(permission: Permission, roles: set[Role]) -> None:
    assert set(roles_with(permission)) == roles


@pytest.mark.parametrize("scope", TokenScope)
def test_no_scope_includes_what_is_done_in_person(scope: TokenScope) -> None:
    assert not SCOPES[scope] & IN_PERSON
    assert not any(may(Role.ADMINISTRATOR, permission, scope=scope) for permission in IN_PERSON)


@pytest.mark.parametrize("scope", TokenScope)
@pytest.mark.parametrize("role", Role)
def test_a_token_may_do_at_most_what_its_account_may(role: Role, scope: TokenScope) -> None:
    allowed = {permission for permission in Permission if may(role, permission, scope=scope)}
    assert allowed == PERMISSIONS[role] & SCOPES[scope]


def test_the_guide_and_a_command_show_the_table() -> None:
    assert permissions_table() in GUIDE.read_text()
    assert permissions_table() in CliRunner().invoke(cli, ["user", "roles"]).output
