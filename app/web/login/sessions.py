"""The response that hands a session to a browser, and the limits on attempts."""

from datetime import timedelta

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.db import transaction
from app.queries.people.attempts import count_attempt
from app.settings import Settings
from app.web.deps import is_https, session_cookie
from app.web.rendering.addresses import local_path

DAY_SECONDS = 86400
WINDOW = timedelta(minutes=15)
"""Period within which attempts are counted."""


def logged_in(request: Request, settings: Settings, session_token: str, back: str) -> Response:
    """Redirect to the page to return to, by default the home page, with the cookie of a new session."""
    response = RedirectResponse(local_path(back) if back else "/", status_code=303)
    response.set_cookie(
        session_cookie(request),
        session_token,
        max_age=settings.session_days * DAY_SECONDS,
        httponly=True,
        samesite="lax",
        secure=is_https(request),
    )
    return response


def agent_of(request: Request) -> str:
    """The browser's User-Agent."""
    return request.headers.get("user-agent", "")


def count_attempts(request: Request, *, limits: dict[str, int]) -> None:
    """Count one attempt of each name in ``limits``. Raises TooManyAttempts for one over its limit.

    Uses a transaction of its own, since failed attempts count too.
    """
    with transaction(request.app.state.sessions) as counting:
        for name, most in limits.items():
            count_attempt(counting, of=name, most=most, window=WINDOW)


def client_of(request: Request) -> str:
    """The key under which attempts from this network address are counted."""
    return f"client {request.client.host if request.client else ''}"
