"""One-time tokens in, session cookies out."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import LONGEST_LOGIN_TOKEN
from app.queries.people.accounts import log_in, log_out
from app.web.deps import SESSION_COOKIE, AppSettings, DbSession
from app.web.rendering.templating import CurrentView

router = APIRouter(include_in_schema=False)

DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class LoginPage:
    token: str
    """A token from the address, which the form sends."""


@router.api_route("/login", methods=["GET", "HEAD"])
def login(view: CurrentView, token: Annotated[str, Query(max_length=LONGEST_LOGIN_TOKEN)] = "") -> Response:
    """A button that logs in with the token of the address, or a field for one.

    To read the address changes nothing: previews of links would use tokens up, and other sites could log a visitor
    in to an account of theirs.
    """
    return view.html("login/page.html", LoginPage(token=token))


@router.post("/login")
def log_in_with_token(
    request: Request,
    session: DbSession,
    settings: AppSettings,
    token: Annotated[str, Form(max_length=LONGEST_LOGIN_TOKEN)],
) -> Response:
    """Use up the token and hand out a session."""
    return _logged_in(request, settings, log_in(session, login_token=token.strip(), days=settings.session_days))


@router.post("/logout")
def logout(request: Request, session: DbSession) -> Response:
    """End the session, on the server too."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        log_out(session, session_token=token)
    answer = RedirectResponse("/", status_code=303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
    return answer


def _logged_in(request: Request, settings: AppSettings, session_token: str) -> Response:
    answer = RedirectResponse("/", status_code=303)
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
