"""Logins through an OpenID provider: logins in progress, and the account of an identity."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_NAME
from app.domain.events import EventKind
from app.domain.roles import Role
from app.errors import Forbidden
from app.models import Account, OpenIdIdentity, OpenIdLogin
from app.queries.history.events import record_event
from app.queries.people.accounts import add_account
from app.queries.people.logins import hashed_token


class LoginExpired(Forbidden):
    """This login was not begun in this browser, took too long or was used already. Start it again."""


class NoAccount(Forbidden):
    """There is no account for this login. Ask an administrator to invite you with your e-mail address."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as the provider knows them."""

    issuer: str
    subject: str
    email: str | None
    """In lower case; None if the provider has not verified it."""


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """The data against which the response to a login is checked."""

    nonce: str
    code_verifier: str
    back: str = ""
    """The page to return to; empty for the home page."""


def remember_login(session: Session, *, state: str, browser: str, login: PendingLogin, minutes: int) -> None:
    """Store a login that began in the browser with this secret, and delete expired ones."""
    session.execute(delete(OpenIdLogin).where(OpenIdLogin.expires_at <= func.now()))
    session.add(
        OpenIdLogin(
            state_hash=hashed_token(state),
            browser_hash=hashed_token(browser),
            nonce=login.nonce,
            code_verifier=login.code_verifier,
            back=login.back,
            expires_at=datetime.now(UTC) + timedelta(minutes=minutes),
        )
    )


def take_login(session: Session, *, state: str, browser: str) -> PendingLogin:
    """Use up the login of this state. Raises LoginExpired, also if another browser began it."""
    row = session.execute(
        delete(OpenIdLogin)
        .where(
            OpenIdLogin.state_hash == hashed_token(state),
            OpenIdLogin.browser_hash == hashed_token(browser),
            OpenIdLogin.expires_at > func.now(),
        )
        .returning(OpenIdLogin.nonce, OpenIdLogin.code_verifier, OpenIdLogin.back)
    ).first()
    if row is None:
        raise LoginExpired
    return PendingLogin(row.nonce, row.code_verifier, row.back)


def account_of(session: Session, *, identity: Identity, domains: Collection[str]) -> int:
    """The id of the account that this identity logs in to.

    At its first login an identity is bound to the account that was invited with its e-mail address, or to a new viewer
    account if the address is in one of ``domains``. Raises NoAccount, Forbidden for a disabled account.
    """
    bound = session.get(OpenIdIdentity, (identity.issuer, identity.subject))
    account = (
        session.get_one(Account, bound.account_id) if bound is not None else _bound_now(session, identity, domains)
    )
    if account.disabled_at is not None:
        raise Forbidden("This account is disabled. Ask an administrator.")
    return account.id


def _bound_now(session: Session, identity: Identity, domains: Collection[str]) -> Account:
    if identity.email is None:
        raise NoAccount
    account = session.scalar(select(Account).where(Account.email == identity.email).with_for_update())
    if account is None:
        local, _, domain = identity.email.rpartition("@")
        if not local or domain not in domains or len(identity.email) > LONGEST_NAME:
            raise NoAccount(f"There is no account for {identity.email}. Ask an administrator to invite this address.")
        account = add_account(session, name=identity.email, role=Role.VIEWER, email=identity.email)
    elif _has_identity(session, account.id, identity.issuer):
        # The provider now has another person under this address: only an administrator can decide what that means.
        raise NoAccount(f"The account of {identity.email} belongs to another login. Ask an administrator.")
    session.add(OpenIdIdentity(issuer=identity.issuer, subject=identity.subject, account_id=account.id))
    detail = {"issuer": identity.issuer, "email": identity.email}
    record_event(session, kind=EventKind.ACCOUNT_BOUND, account_id=account.id, detail=detail)
    return account


def _has_identity(session: Session, account_id: int, issuer: str) -> bool:
    bound = select(OpenIdIdentity.subject).where(
        OpenIdIdentity.account_id == account_id, OpenIdIdentity.issuer == issuer
    )
    return session.scalar(bound) is not None
