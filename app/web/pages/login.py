"""One-time tokens in, session cookies out."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import LONGEST_ADDRESS, LONGEST_LOGIN_TOKEN, LONGEST_NAME, LONGEST_PASSWORD
from app.queries.people.accounts import LoginFailed, log_in, log_out
from app.queries.people.attempts import forget_attempts
from app.queries.people.passwords import log_in_with_password
from app.settings import Settings
from app.web.deps import AppSettings, DbSession, is_https, session_cookie, session_token_of
from app.web.http.routing import PageRouter
from app.web.login.sessions import agent_of, client_of, count_attempts, logged_in
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView
from app.web.rendering.visits import VISITS_COOKIE

router = PageRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class LoginPage:
    token: str
    """A token from the address, which the form sends."""
    next: str
    """The page to return to."""
    openid_name: str | None
    """What the button of the OpenID provider calls it; None where the settings name none."""
    problem: str = ""
    """Why the last attempt failed."""


@router.api_route("/login", methods=["GET", "HEAD"])
def login(
    request: Request,
    view: CurrentView,
    settings: AppSettings,
    token: Annotated[str, Query(max_length=LONGEST_LOGIN_TOKEN)] = "",
    back: Annotated[str, Query(alias="next", max_length=LONGEST_ADDRESS, description="The page to return to")] = "",
) -> Response:
    """A button that logs in with the token of the address, or a field for one.

    To read the address changes nothing: previews of links would use tokens up, and other sites could log a visitor
    in to an account of theirs.
    """
    return view.html("login/page.html", LoginPage(token, _returned_to(request, back), _openid_name(settings)))


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
    try:
        session_token = log_in(session, login_token=token.strip(), days=settings.session_days, agent=agent_of(request))
    except LoginFailed as failed:
        shown = LoginPage("", local_path(back), _openid_name(settings), failed.message)
        return view.html("login/page.html", shown, status=failed.status)
    return logged_in(request, settings, session_token, back)


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
    person = f"name {name.strip().casefold()}"
    count_attempts(
        request, limits={person: settings.login_attempts, client_of(request): settings.client_login_attempts}
    )
    token = log_in_with_password(
        session, name=name.strip(), password=password, days=settings.session_days, agent=agent_of(request)
    )
    forget_attempts(session, of=person)
    return logged_in(request, settings, token, back)


@router.post("/logout")
def logout(request: Request, session: DbSession) -> Response:
    """End the session, on the server too."""
    token = session_token_of(request)
    by_openid = token is not None and log_out(session, session_token=token)
    # Pages of who has logged out are not shown again by the back button either.
    asks_provider = by_openid and request.app.state.openid is not None
    response = RedirectResponse("/login/openid/ended" if asks_provider else "/", status_code=303)
    response.delete_cookie(session_cookie(request), httponly=True, samesite="lax", secure=is_https(request))
    response.delete_cookie(VISITS_COOKIE, httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _openid_name(settings: Settings) -> str | None:
    return settings.openid_name if settings.openid_issuer is not None else None


def _returned_to(request: Request, back: str) -> str:
    """The page that the address names, or else the one whose link was followed."""
    if back:
        return local_path(back)
    came_from = urlsplit(request.headers.get("referer", ""))
    if came_from.netloc != request.url.netloc or came_from.path.startswith("/login"):
        return "/"
    return local_path(urlunsplit(("", "", came_from.path, came_from.query, "")))
