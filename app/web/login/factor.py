"""The second factor of a login, and its QR code."""

from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.orm import Session

from app.queries.people.attempts import forget_attempts
from app.queries.people.second_factor import n_recovery_codes, use_code
from app.secrets import SecretBox
from app.settings import Settings
from app.web.login.sessions import count_attempts

QUIET_ZONE = 4
"""White modules around a QR code (ISO/IEC 18004)."""


@dataclass(frozen=True, slots=True)
class QrCode:
    """A QR code as an SVG path, one unit per module."""

    path: str
    size: int


def qr_code(text: str) -> QrCode:
    """The QR code of a text."""
    import segno  # of this page alone: 3 MB of every process

    rows = list(segno.make(text, error="m", micro=False).matrix)
    marks = [
        f"M{x + QUIET_ZONE} {y + QUIET_ZONE}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, is_dark in enumerate(row)
        if is_dark
    ]
    return QrCode("".join(marks), len(rows) + 2 * QUIET_ZONE)


def pass_second_factor(request: Request, session: Session, settings: Settings, *, account_id: int, code: str) -> None:
    """Accept the login of a person who has entered a valid code, or whose account needs none.

    Attempts are counted like those at passwords. Raises CodeNeeded, TooManyAttempts.
    """
    if n_recovery_codes(session, account_id=account_id) is None:
        return
    person = f"factor {account_id}"
    count_attempts(request, limits={person: settings.login_attempts})
    use_code(session, account_id=account_id, box=SecretBox(settings.data_dir), code=code)
    forget_attempts(session, of=person)
