"""One-time tokens in, session cookies out."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_ADDRESS, LONGEST_FIELD, LONGEST_LOGIN_TOKEN, LONGEST_NAME, LONGEST_PASSWORD
from app.queries.people.attempts import forget_attempts
from app.queries.people.logins import LoginFailed, log_out, start_session, use_login_token
from app.queries.people.passwords import account_by_password
from app.settings import Settings
from app.web.deps import AppSettings, DbSession, is_https, session_cookie, session_token_of
from app.web.http.routing import PageRouter
from app.web.http.visits import VISITS_COOKIE
from app.web.login.factor import pass_second_factor
from app.web.login.sessions import agent_of, client_of, count_attempts, logged_in
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView

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


class LoginForm(BaseModel):
    """What every login may send: the page to return to, and a code of who has a second factor."""

    next: str = Field("", max_length=LONGEST_ADDRESS)
    code: str = Field("", max_length=LONGEST_FIELD)


class LoginTokenForm(LoginForm):
    """A one-time token."""

    token: str = Field(max_length=LONGEST_LOGIN_TOKEN)


class PasswordForm(LoginForm):
    """A name and its password."""

    name: str = Field(max_length=LONGEST_NAME)
    password: str = Field(max_length=LONGEST_PASSWORD)


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
    form: Annotated[LoginTokenForm, Form()],
) -> Response:
    """Use up the token and hand out a session; the form again for one that is used up or too old. Raises CodeNeeded."""
    try:
        account_id = use_login_token(session, form.token.strip())
    except LoginFailed as failed:
        shown = LoginPage("", local_path(form.next), _openid_name(settings), failed.message)
        return view.html("login/page.html", shown, status=failed.status)
    return _begun(request, session, settings, account_id, form)


@router.post("/login/password")
def log_in_by_password(
    request: Request,
    session: DbSession,
    settings: AppSettings,
    form: Annotated[PasswordForm, Form()],
) -> Response:
    """Hand out a session for a name and its password. Raises WrongPassword, CodeNeeded, TooManyAttempts."""
    name = form.name.strip()
    person = f"name {name.casefold()}"
    count_attempts(
        request, limits={person: settings.login_attempts, client_of(request): settings.client_login_attempts}
    )
    account_id = account_by_password(session, name=name, password=form.password)
    response = _begun(request, session, settings, account_id, form)
    forget_attempts(session, of=person)
    return response


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


def _begun(request: Request, session: Session, settings: Settings, account_id: int, form: LoginForm) -> Response:
    """A new session, after the second factor where the account has one."""
    pass_second_factor(request, session, settings, account_id=account_id, code=form.code)
    token = start_session(session, account_id=account_id, days=settings.session_days, agent=agent_of(request))
    return logged_in(request, settings, token, form.next)


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
