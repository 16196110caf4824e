"""``neuron-audit user``: accounts of people."""

from typing import Annotated

import typer

from app.cli.common import opened, settings
from app.domain.roles import Role, permissions_table
from app.queries.people.accounts import (
    account_named,
    accounts,
    add_account,
    change_role,
    disable_account,
    enable_account,
    new_login_address,
)
from app.queries.people.logins import create_login_token
from app.queries.people.second_factor import remove_factor

user = typer.Typer(help="Accounts of people.", no_args_is_help=True)


@user.command("add")
def user_add(
    name: str,
    role: Annotated[Role, typer.Option(help="What it may do: neuron-audit user roles")],
    email: Annotated[str | None, typer.Option(help="By which an OpenID provider knows the person.")] = None,
) -> None:
    """Add an account and print an address that logs it in once."""
    loaded = settings()
    with opened(loaded) as session:
        account = add_account(session, name=name, role=role, email=email)
        token = create_login_token(session, account_id=account.id, minutes=loaded.login_token_minutes)
    typer.echo(loaded.login_address(token))


@user.command("login")
def user_login(name: str) -> None:
    """Print an address that logs an account in once."""
    loaded = settings()
    with opened(loaded) as session:
        account = account_named(session, name=name)
        token = new_login_address(session, account_id=account.id, by=None, minutes=loaded.login_token_minutes)
    typer.echo(loaded.login_address(token))


@user.command("list")
def user_list() -> None:
    """List every account with its role."""
    with opened(settings()) as session:
        for account in accounts(session):
            typer.echo(f"{account.name}\t{account.role}{' (disabled)' if account.disabled_at else ''}")


@user.command("roles")
def user_roles() -> None:
    """Print what each role, and each scope of a token, may do."""
    typer.echo(permissions_table())


@user.command("role")
def user_role(name: str, role: Annotated[Role, typer.Argument(help="The new role.")]) -> None:
    """Give an account another role."""
    with opened(settings()) as session:
        account = account_named(session, name=name)
        change_role(session, account_id=account.id, role=role, by=None)
    typer.echo(f"{name} is {role} now.")


@user.command("reset-factor")
def user_reset_factor(name: str) -> None:
    """Let an account whose authenticator is lost log in without a code again."""
    with opened(settings()) as session:
        remove_factor(session, account_id=account_named(session, name=name).id, by=None)
    typer.echo(f"{name} logs in without a second factor now.")


@user.command("disable")
def user_disable(name: str) -> None:
    """Disable an account: its sessions and login addresses end at once. What it did stays."""
    with opened(settings()) as session:
        n_sessions = disable_account(session, name=name)
    typer.echo(f"{name} is disabled; {n_sessions} {'session was' if n_sessions == 1 else 'sessions were'} ended.")


@user.command("enable")
def user_enable(name: str) -> None:
    """Let a disabled account log in again."""
    with opened(settings()) as session:
        enable_account(session, name=name)
    typer.echo(f"{name} may log in again: neuron-audit user login {name}")
