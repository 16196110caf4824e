"""One-time tokens in, session cookies out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.db import transaction
from app.domain.bounds import LONGEST_ADDRESS, LONGEST_LOGIN_TOKEN, LONGEST_NAME, LONGEST_PASSWORD
from app.queries.people.accounts import LoginFailed, log_in, log_out
from app.queries.people.attempts import count_attempt, forget_attempts
from app.queries.people.passwords import log_in_with_password
from app.web.deps import SESSION_COOKIE, AppSettings, DbSession
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView
from app.web.rendering.visits import VISITS_COOKIE

router = APIRouter(include_in_schema=False)

DAY_SECONDS = 86400
WINDOW = timedelta(minutes=15)
"""Within which attempts are counted."""


@dataclass(frozen=True, slots=True)
class LoginPage:
    token: str
    """A token from the address, which the form sends."""
    next: str
    """The page to return to."""
    problem: str = ""
    """Why the last attempt failed."""


@router.api_route("/login", methods=["GET", "HEAD"])
def login(
    request: Request,
    view: CurrentView,
    token: Annotated[str, Query(max_length=LONGEST_LOGIN_TOKEN)] = "",
    back: Annotated[str, Query(alias="next", max_length=LONGEST_ADDRESS, description="The page to return to")] = "",
) -> Response:
    """A button that logs in with the token of the address, or a field for one.

    To read the address changes nothing: previews of links would use tokens up, and other sites could log a visitor
    in to an account of theirs.
    """
    return view.html("login/page.html", LoginPage(token=token, next=_returned_to(request, back)))


@router.post("/login")
def log_in_with_token(
    request: Request,
    session: DbSession,
    settings: AppSettings,
    view: CurrentView,
    token: Annotated[str, Form(max_length=LONGEST_LOGIN_TOKEN)],
    back: Annotated[str, Form(alias="next", max_length=LONGEST_ADDRESS)] = "",
) -> Response:
    """Use up the token and hand out a session; the form again for one that is used up or too old."""
    days, agent = settings.session_days, request.headers.get("user-agent", "")
    try:
        session_token = log_in(session, login_token=token.strip(), days=days, agent=agent)
    except LoginFailed as failed:
        shown = LoginPage(token="", next=local_path(back), problem=failed.message)
        return view.html("login/page.html", shown, status=failed.status)
    return _logged_in(request, settings, session_token, back)


@router.post("/login/password")
def log_in_by_password(
    request: Request,
    session: DbSession,
    settings: AppSettings,
    name: Annotated[str, Form(max_length=LONGEST_NAME)],
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
    back: Annotated[str, Form(alias="next", max_length=LONGEST_ADDRESS)] = "",
) -> Response:
    """Hand out a session for a name and its password. Raises WrongPassword, TooManyAttempts."""
    person, client = f"name {name.strip().casefold()}", f"client {request.client.host if request.client else ''}"
    with transaction(request.app.state.sessions) as counting:  # by itself: an attempt that fails counts all the same
        count_attempt(counting, of=person, most=settings.login_attempts, window=WINDOW)
        count_attempt(counting, of=client, most=settings.client_login_attempts, window=WINDOW)
    token = log_in_with_password(
        session,
        name=name.strip(),
        password=password,
        days=settings.session_days,
        agent=request.headers.get("user-agent", ""),
    )
    forget_attempts(session, of=person)
    return _logged_in(request, settings, token, back)


@router.post("/logout")
def logout(request: Request, session: DbSession) -> Response:
    """End the session, on the server too."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        log_out(session, session_token=token)
    answer = RedirectResponse("/", status_code=303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
    answer.delete_cookie(VISITS_COOKIE, httponly=True, samesite="lax")
    return answer


def _returned_to(request: Request, back: str) -> str:
    """The page that the address names, or else the one whose link was followed."""
    if back:
        return local_path(back)
    came_from = urlsplit(request.headers.get("referer", ""))
    if came_from.netloc != request.url.netloc or came_from.path in ("/login", "/login/password"):
        return "/"
    return local_path(urlunsplit(("", "", came_from.path, came_from.query, "")))


def _logged_in(request: Request, settings: AppSettings, session_token: str, back: str) -> Response:
    answer = RedirectResponse(local_path(back) if back else "/", status_code=303)
    answer.set_cookie(
        SESSION_COOKIE,
        session_token,
        max_age=settings.session_days * DAY_SECONDS,
        httponly=True,
        samesite="lax",
        secure=_is_https(request, settings.public_url),
    )
    return answer


def _is_https(request: Request, public_url: str | None) -> bool:
    return request.url.scheme == "https" or (public_url is not None and public_url.startswith("https://"))
