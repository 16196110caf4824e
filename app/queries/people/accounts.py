"""Accounts: added, invited, given a role, disabled."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_EMAIL, LONGEST_NAME
from app.domain.events import EventKind
from app.domain.review import ReviewerKind
from app.domain.roles import Permission, Role, TokenScope, may, roles_with
from app.errors import Conflict, Invalid, NotFound
from app.models import Account, LoginToken, OpenIdIdentity, SecondFactor, WebSession
from app.queries.history.events import record_event
from app.queries.people.logins import create_login_token

MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class Viewer:
    """The account that makes a request: the part of it that pages need."""

    id: int
    name: str
    role: Role
    n_news: int = 0
    """News that this person has not seen."""
    scope: TokenScope | None = None
    """The scope of a program's token; None for a person at a browser."""
    is_confirmed: bool = False
    """Whether this person proved their identity a short while ago."""
    was_idle: bool = False
    """Whether the previous request was some time ago."""
    known_until: datetime | None = None
    """Until this time the session need not be checked again and its use need not be recorded."""

    @property
    def by_program(self) -> bool:
        """Whether this is a program with a token rather than the account's owner in a browser."""
        return self.scope is not None

    def may(self, permission: Permission) -> bool:
        """Whether this person or program has a permission."""
        return may(self.role, permission, scope=self.scope)


def add_account(session: Session, *, name: str, role: Role, email: str | None = None, by: int | None = None) -> Account:
    """A new account, added on the command line or by the account ``by``.

    Raises Invalid for a bad name or e-mail address, Conflict where one is taken.
    """
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise Invalid(f"A name has 1 to {LONGEST_NAME} printable characters.")
    if session.scalar(select(Account.id).where(Account.name == clean)) is not None:
        raise Conflict(f"There is an account named {clean} already.")
    account = Account(name=clean, role=role, email=_free_email(session, email))
    session.add(account)
    session.flush()  # callers need its id
    detail = {"account": account.id, "name": clean, "role": role}
    record_event(session, kind=EventKind.ACCOUNT_ADDED, account_id=by or account.id, detail=detail)
    return account


def _free_email(session: Session, email: str | None) -> str | None:
    """The address in lower case; None for an empty one. Raises Invalid, Conflict."""
    clean = (email or "").strip().casefold()
    if not clean:
        return None
    local, at, domain = clean.rpartition("@")
    if not (local and at and "." in domain) or len(clean) > LONGEST_EMAIL or not clean.isprintable() or " " in clean:
        raise Invalid(f"{clean[:LONGEST_NAME]!r} is not an e-mail address.")
    if session.scalar(select(Account.id).where(Account.email == clean)) is not None:
        raise Conflict(f"Another account has the address {clean}.")
    return clean


def set_email(session: Session, *, account_id: int, email: str, by: int) -> None:
    """Give an account the address by which an OpenID provider knows the person; empty for none.

    Raises Invalid, Conflict.
    """
    account = session.get_one(Account, account_id)
    if (email.strip().casefold() or None) == account.email:
        raise Conflict("The account has this address already.")
    before, account.email = account.email, _free_email(session, email)
    detail = {"account": account.name, "before": before, "after": account.email}
    record_event(session, kind=EventKind.ACCOUNT_EMAIL_SET, account_id=by, detail=detail)


def ensure_account(session: Session, *, name: str, role: Role) -> Account:
    """The account of this name, created with this role if it does not exist. Raises as ``add_account`` does."""
    found = session.scalar(select(Account).where(Account.name == name))
    return found if found is not None else add_account(session, name=name, role=role)


@dataclass(frozen=True, slots=True)
class PersonShown:
    """An account as administrators see it."""

    id: int
    name: str
    role: Role
    created_at: datetime
    is_disabled: bool
    email: str | None
    has_password: bool
    has_openid: bool
    has_factor: bool
    n_sessions: int
    price_cap_per_day: float | None

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways in which this person can log in, in words."""
        known = {"password": self.has_password, "OpenID": self.has_openid}
        ways = tuple(way for way, has in known.items() if has) or ("addresses",)
        return (*ways, "second factor") if self.has_factor else ways


def people_shown(session: Session) -> tuple[PersonShown, ...]:
    """Every person's account, by name, with the number of browsers logged in."""
    good = (
        select(WebSession.account_id, func.count().label("n"))
        .where(WebSession.expires_at > func.now())
        .group_by(WebSession.account_id)
        .subquery()
    )
    has_openid = exists().where(OpenIdIdentity.account_id == Account.id)
    rows = session.execute(
        select(
            Account,
            func.coalesce(good.c.n, 0).label("n"),
            has_openid.label("has_openid"),
            exists().where(SecondFactor.account_id == Account.id).label("has_factor"),
        )
        .outerjoin(good, good.c.account_id == Account.id)
        .where(Account.kind == ReviewerKind.PERSON)
        .order_by(Account.name)
    )
    return tuple(
        PersonShown(
            id=account.id,
            name=account.name,
            role=Role(account.role),
            created_at=account.created_at,
            is_disabled=account.disabled_at is not None,
            email=account.email,
            has_password=account.password_hash is not None,
            has_openid=has_openid,
            has_factor=has_factor,
            n_sessions=n,
            price_cap_per_day=account.price_cap_per_day,
        )
        for account, n, has_openid, has_factor in rows
    )


def person_named(session: Session, *, account_id: int) -> Account:
    """The person's account of this id. Raises NotFound."""
    found = session.get(Account, account_id) if 0 < account_id <= BIGGEST_ID else None
    if found is None or found.kind != ReviewerKind.PERSON:
        raise NotFound("There is no such account.")
    return found


def name_of(session: Session, *, account_id: int) -> str:
    """The name of an account."""
    return session.get_one(Account, account_id).name


def has_password(session: Session, *, account_id: int) -> bool:
    """Whether this account can log in with a password."""
    return session.get_one(Account, account_id).password_hash is not None


def invite(session: Session, *, name: str, role: Role, email: str, by: int, days: int) -> str:
    """Add an account and return a token that logs it in once. Raises as ``add_account`` does."""
    account = add_account(session, name=name, role=role, email=email, by=by)
    return create_login_token(session, account_id=account.id, minutes=days * MINUTES_A_DAY)


def new_login_address(session: Session, *, account_id: int, by: int | None, minutes: int) -> str:
    """Another token that logs an account in once; one event. ``by`` is None for the command line.

    Raises Conflict for a disabled account.
    """
    token = create_login_token(session, account_id=account_id, minutes=minutes)
    detail = {"account": account_id, "minutes": minutes}
    record_event(session, kind=EventKind.ACCOUNT_INVITED, account_id=by, detail=detail)
    return token


def accounts(session: Session) -> list[Account]:
    """Every account, by name."""
    return list(session.scalars(select(Account).order_by(Account.name)))


def accounts_with(session: Session, *, permission: Permission) -> list[Account]:
    """The accounts that are not disabled and whose role includes this permission, by name."""
    has_role = Account.role.in_(roles_with(permission))
    return list(session.scalars(select(Account).where(has_role, Account.disabled_at.is_(None)).order_by(Account.name)))


def account_named(session: Session, *, name: str) -> Account:
    """The account of this name. Raises NotFound."""
    found = session.scalar(select(Account).where(Account.name == name))
    if found is None:
        raise NotFound(f"There is no account named {name}.")
    return found


def disable_account(session: Session, *, name: str, by: int | None = None) -> int:
    """Disable an account, end its sessions and its unused login tokens; returns the number of sessions ended.

    ``by`` is the administrator's account; on the command line there is none.

    Raises NotFound for an unknown account, Conflict for one that is disabled already.
    """
    account = account_named(session, name=name)
    if account.disabled_at is not None:
        raise Conflict(f"The account {name} is disabled already.")
    account.disabled_at = datetime.now(UTC)
    ended = session.scalars(
        delete(WebSession).where(WebSession.account_id == account.id).returning(WebSession.token_hash)
    ).all()
    session.execute(delete(LoginToken).where(LoginToken.account_id == account.id, LoginToken.used_at.is_(None)))
    detail = {"account": name, "before": "enabled", "after": "disabled", "n_sessions": len(ended)}
    record_event(session, kind=EventKind.ACCOUNT_DISABLED, account_id=by or account.id, detail=detail)
    return len(ended)


def enable_account(session: Session, *, name: str, by: int | None = None) -> None:
    """Let a disabled account log in again. Raises NotFound, or Conflict for one that is not disabled."""
    account = account_named(session, name=name)
    if account.disabled_at is None:
        raise Conflict(f"The account {name} is not disabled.")
    account.disabled_at = None
    detail = {"account": name, "before": "disabled", "after": "enabled"}
    record_event(session, kind=EventKind.ACCOUNT_ENABLED, account_id=by or account.id, detail=detail)


def change_role(session: Session, *, account_id: int, role: Role, by: int | None) -> None:
    """Give an account another role; one event. ``by`` is None for the command line.

    Raises NotFound, or Conflict for the last administrator.
    """
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound("There is no such account.")
    if Role(account.role) is Role.ADMINISTRATOR and role is not Role.ADMINISTRATOR:
        _keep_an_administrator(session, account_id)
    before, account.role = account.role, role
    detail = {"account": account.name, "before": before, "after": role}
    record_event(session, kind=EventKind.ACCOUNT_ROLE_CHANGED, account_id=by, detail=detail)


def _keep_an_administrator(session: Session, leaving: int) -> None:
    """Lock the administrators' accounts, so that two who demote each other at once cannot both succeed."""
    ids = session.scalars(
        select(Account.id).where(Account.role == Role.ADMINISTRATOR, Account.disabled_at.is_(None)).with_for_update()
    ).all()
    if set(ids) <= {leaving}:
        raise Conflict("This is the last administrator. Make another account an administrator first.")


def lock_account(session: Session, *, account_id: int) -> None:
    """Serialise transactions on this account; rows that refer to it can still be written."""
    session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))


def any_account(session: Session) -> bool:
    """Whether there is any account that could log in."""
    return session.scalar(select(Account.id).where(Account.disabled_at.is_(None)).limit(1)) is not None
