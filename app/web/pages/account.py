"""One's own account: password, sessions, tokens for programs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD, LONGEST_NAME, LONGEST_PASSWORD
from app.domain.roles import TokenScope
from app.errors import Forbidden, LoginRequired
from app.queries.common.inputs import one_of
from app.queries.people.accounts import Viewer, has_password
from app.queries.people.api_tokens import TokenShown, api_tokens_of, create_api_token, revoke_api_token
from app.queries.people.passwords import set_password
from app.queries.people.sessions import SessionShown, end_session, sessions_of
from app.web.deps import SESSION_COOKIE, CurrentViewer, DbSession
from app.web.rendering.templating import CurrentView

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What an account consists of."""

    viewer: Viewer
    has_password: bool
    sessions: tuple[SessionShown, ...]
    tokens: tuple[TokenShown, ...]
    scopes: tuple[TokenScope, ...]
    new_token: str | None = None
    """Shown once."""


def in_person(viewer: CurrentViewer) -> Viewer:
    """Whoever is logged in by a browser. Raises LoginRequired, and Forbidden for a program.

    A token that could make tokens, or change the password, would outlive its revocation.
    """
    if viewer is None:
        raise LoginRequired
    if viewer.by_program:
        raise Forbidden("A program may not change an account. Log in with a browser.")
    return viewer


@router.api_route("/account", methods=["GET", "HEAD"])
def account(request: Request, session: DbSession, view: CurrentView, viewer: CurrentViewer) -> Response:
    """Password, sessions and tokens."""
    return view.html("people/account.html", _shown(request, session, in_person(viewer)))


@router.post("/account/password")
def change_password(
    request: Request,
    session: DbSession,
    viewer: CurrentViewer,
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
) -> Response:
    """Set the password. All other sessions end."""
    person = in_person(viewer)
    set_password(session, account_id=person.id, password=password, kept_session=request.cookies.get(SESSION_COOKIE))
    return RedirectResponse("/account", status_code=303)


@router.post("/account/sessions/{name}/end")
def end(session: DbSession, viewer: CurrentViewer, name: str) -> Response:
    """End one of one's own sessions."""
    end_session(session, account_id=in_person(viewer).id, name=name)
    return RedirectResponse("/account", status_code=303)


@router.post("/account/tokens")
def add_token(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    request: Request,
    session: DbSession,
    view: CurrentView,
    viewer: CurrentViewer,
    name: Annotated[str, Form(max_length=LONGEST_NAME)],
    scope: Annotated[str, Form(max_length=LONGEST_FIELD)],
    days: Annotated[int, Form()],
) -> Response:
    """Make a token and show it, this once."""
    person = in_person(viewer)
    meant = one_of(scope, TokenScope, what="scope")
    token = create_api_token(session, account_id=person.id, name=name, scope=meant, days=days)
    session.flush()
    return view.html("people/account.html", _shown(request, session, person, new_token=token))


@router.post("/account/tokens/{token_id}/revoke")
def revoke(session: DbSession, viewer: CurrentViewer, token_id: int) -> Response:
    """Let a token work no longer. Raises NotFound."""
    revoke_api_token(session, account_id=in_person(viewer).id, token_id=min(max(token_id, 0), BIGGEST_ID))
    return RedirectResponse("/account", status_code=303)


def _shown(request: Request, session: Session, person: Viewer, *, new_token: str | None = None) -> AccountPage:
    return AccountPage(
        viewer=person,
        has_password=has_password(session, account_id=person.id),
        sessions=sessions_of(session, account_id=person.id, session_token=request.cookies.get(SESSION_COOKIE)),
        tokens=api_tokens_of(session, account_id=person.id),
        scopes=tuple(TokenScope),
        new_token=new_token,
    )
