"""Passwords, stored as argon2id hashes. Accounts without one log in by one-time links."""

import secrets
import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from zxcvbn import zxcvbn

from app.domain.bounds import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.domain.events import EventKind
from app.errors import Forbidden, Invalid
from app.models import Account, WebSession
from app.queries.history.events import record_event
from app.queries.people.logins import hashed_token
from app.queries.people.sessions import end_other_sessions

HASHER = PasswordHasher()
"""The library's defaults are RFC 9106's second choice: 64 MiB, three passes, four lanes."""
STRONG_ENOUGH = 3
"""zxcvbn's score for 10^8 or more guesses; at the few guesses per second that the hash allows, these take years."""
ESTIMATED = 72
"""Characters that are rated: the time grows with their square, and further ones never make a password weaker."""
_AT_ONCE = threading.BoundedSemaphore(2)
"""Hashes computed at once: each takes 64 MiB, and a burst of logins must not use up the memory."""


class WrongPassword(Forbidden):
    """The name or the password is wrong."""

    status = 401


class PasswordMismatch(Forbidden):
    """This is not your current password."""


def set_password(session: Session, *, account_id: int, password: str, kept_session: str | None = None) -> None:
    """Set an account's password and end its sessions except that of the token ``kept_session``. Raises Invalid."""
    clean = _normalised(password)
    if not SHORTEST_PASSWORD <= len(clean) <= LONGEST_PASSWORD:
        raise Invalid(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    account = session.get_one(Account, account_id)
    if _is_easy(clean, account):
        raise Invalid("This password is too easy to guess. Several words in a row are a good one.")
    with _AT_ONCE:
        account.password_hash = HASHER.hash(clean)
    end_other_sessions(session, account_id=account_id, kept_session=kept_session)
    record_event(session, kind=EventKind.PASSWORD_SET, account_id=account_id)


def _is_easy(password: str, account: Account) -> bool:
    """Whether few guesses find the password: common ones, words, names, neighbouring keys, dates, and combinations.

    zxcvbn's lists are frequencies in collections of breached passwords, and words of English (Wheeler, USENIX 2016).
    """
    if password.casefold() == _normalised(account.name).casefold() or len(set(password)) < 4:
        return True
    own = [account.name, account.email or "", "neuron", "audit", "neuronaudit"]
    estimate = zxcvbn(password[:ESTIMATED], user_inputs=[each for each in own if each])
    return int(estimate["score"]) < STRONG_ENOUGH


def confirm_password(session: Session, *, account_id: int, session_token: str, password: str) -> None:
    """Check the password and record that the session's person has proved their identity. Raises PasswordMismatch."""
    check_password(session, account_id=account_id, password=password)
    own = update(WebSession).where(WebSession.token_hash == hashed_token(session_token))
    session.execute(own.values(confirmed_at=func.now()))


def check_password(session: Session, *, account_id: int, password: str) -> None:
    """Compare a password with the account's. Raises PasswordMismatch, also if the account has none."""
    stored = session.get_one(Account, account_id).password_hash
    with _AT_ONCE:
        is_right = _verified(stored or _nobodys_hash(), _normalised(password))
    if stored is None or not is_right:
        raise PasswordMismatch


def account_by_password(session: Session, *, name: str, password: str) -> int:
    """The account of a name and its password. Raises WrongPassword.

    It takes equally long for a name that does not exist, is disabled or has no password.
    """
    account = session.scalar(select(Account).where(Account.name == name, Account.disabled_at.is_(None)))
    stored = account.password_hash if account is not None else None
    with _AT_ONCE:
        is_right = _verified(stored or _nobodys_hash(), _normalised(password))
    if account is None or stored is None or not is_right:
        raise WrongPassword
    if HASHER.check_needs_rehash(stored):
        account.password_hash = HASHER.hash(_normalised(password))
    return account.id


def _verified(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return HASHER.hash(secrets.token_urlsafe(32))


def _normalised(password: str) -> str:
    """The same form for characters that different keyboards encode differently."""
    return unicodedata.normalize("NFKC", password)
