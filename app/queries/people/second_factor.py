"""A second factor: time-based one-time codes (RFC 6238) of an authenticator app, and recovery codes."""

import base64
import secrets
import time

from pyotp import TOTP, random_base32
from pyotp.utils import strings_equal
from sqlalchemy import BindParameter, any_, bindparam, func, select, update
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.errors import Forbidden, Invalid, NotFound
from app.models import SecondFactor
from app.queries.history.events import record_event
from app.queries.people.logins import hashed_token
from app.secrets import SecretBox

ISSUER = "Neuron Audit"
STEP_SECONDS = 30
DRIFT = (0, -1, 1)
"""Time steps by which an authenticator's clock may differ from the server's, the most likely first."""
ENROLMENT_SECONDS = 900
N_RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 random bits per code, so that a hash without a salt reveals nothing."""


now = time.time
"""The clock, which tests replace."""


class CodeNeeded(Forbidden):
    """A code of your authenticator, or a recovery code, is missing or wrong. Each works once: enter the next one."""

    status = 401


def new_secret() -> str:
    """A random secret for an authenticator, in base 32."""
    return random_base32()


def sealed_secret(box: SecretBox, secret: str) -> str:
    """A secret encrypted for a form, so that nothing is stored before its owner has entered a code of it."""
    return box.seal(f"{int(now())} {secret}").decode()


def address_of(secret: str, *, name: str) -> str:
    """The ``otpauth://`` address that an authenticator app reads from a QR code."""
    return TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def add_factor(session: Session, *, account_id: int, box: SecretBox, sealed: str, code: str) -> tuple[str, ...]:
    """Bind an account to the authenticator with a sealed secret, replacing any earlier one; one event.

    Returns the recovery codes, which are stored hashed. Raises Invalid for a wrong code and a form that is too old.
    """
    began, _, secret = _opened(box, sealed).partition(" ")
    if not 0 <= now() - int(began) <= ENROLMENT_SECONDS:
        raise Invalid("This page was open for too long. Open it again, and scan the new QR code.")
    step = _step_of(secret, code)
    if step is None:
        raise Invalid(
            "This is not a code of this QR code. Scan it, and enter the six digits that the authenticator shows."
        )
    codes = tuple(_recovery_code() for _ in range(N_RECOVERY_CODES))
    factor = session.get(SecondFactor, account_id) or SecondFactor(account_id=account_id)
    factor.secret_encrypted = box.seal(secret)
    factor.last_step = step
    factor.recovery_hashes = [_hashed(each) for each in codes]
    session.add(factor)
    record_event(session, kind=EventKind.FACTOR_ADDED, account_id=account_id)
    return codes


def n_recovery_codes(session: Session, *, account_id: int) -> int | None:
    """The number of unused recovery codes; None for an account without a second factor."""
    left = select(func.coalesce(func.cardinality(SecondFactor.recovery_hashes), 0))
    found: int | None = session.scalar(left.where(SecondFactor.account_id == account_id))
    return found


def use_code(session: Session, *, account_id: int, box: SecretBox, code: str) -> None:
    """Accept a code of the account's authenticator or one of its recovery codes, once.

    Raises CodeNeeded, also where another request was faster with the same code. An account without a second factor
    needs no code.
    """
    sealed = session.scalar(select(SecondFactor.secret_encrypted).where(SecondFactor.account_id == account_id))
    if sealed is None:
        return
    step = _step_of(box.open(sealed), code)
    if step is not None:
        newer = update(SecondFactor).where(SecondFactor.account_id == account_id, SecondFactor.last_step < step)
        used = newer.values(last_step=step)
    else:
        wanted: BindParameter[str] = bindparam("wanted", _hashed(code))
        own = update(SecondFactor).where(
            SecondFactor.account_id == account_id, wanted == any_(SecondFactor.recovery_hashes)
        )
        used = own.values(recovery_hashes=func.array_remove(SecondFactor.recovery_hashes, wanted))
    returning = used.returning(SecondFactor.account_id).execution_options(synchronize_session=False)
    if session.execute(returning).first() is None:
        raise CodeNeeded


def remove_factor(session: Session, *, account_id: int, by: int | None) -> None:
    """Remove an account's second factor. One event. Raises NotFound."""
    factor = session.get(SecondFactor, account_id)
    if factor is None:
        raise NotFound("This account has no second factor.")
    session.delete(factor)
    record_event(session, kind=EventKind.FACTOR_REMOVED, account_id=by, detail={"account_id": account_id})


def _opened(box: SecretBox, sealed: str) -> str:
    try:
        return box.open(sealed.encode())
    except Invalid as error:
        raise Invalid("This form was changed on its way. Open the page again.") from error


def _step_of(secret: str, code: str) -> int | None:
    """The time step of this code; None if it matches none."""
    current = int(now()) // STEP_SECONDS
    digits = "".join(code.split())
    authenticator = TOTP(secret)
    found = [drift for drift in DRIFT if strings_equal(authenticator.generate_otp(current + drift), digits)]
    return current + found[0] if found else None


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def _hashed(code: str) -> str:
    return hashed_token("".join(code.split()).replace("-", "").lower())
