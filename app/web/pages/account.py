"""One's own account: password, sessions, tokens for programs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD, LONGEST_NAME, LONGEST_PASSWORD
from app.domain.roles import Permission, TokenScope, scopes_with
from app.queries.common.inputs import one_of
from app.queries.people.accounts import Viewer, has_password
from app.queries.people.api_tokens import TokenShown, api_tokens_of, create_api_token, revoke_api_token
from app.queries.people.passwords import set_password
from app.queries.people.sessions import SessionShown, end_session, sessions_of
from app.web.deps import SESSION_COOKIE, DbSession, allowed_to
from app.web.rendering.templating import CurrentView

router = APIRouter(include_in_schema=False)

Owner = Annotated[Viewer, Depends(allowed_to(Permission.MANAGE_OWN_ACCOUNT), scope="function")]


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

    @property
    def permissions(self) -> tuple[tuple[Permission, tuple[TokenScope, ...]], ...]:
        """What this account may do, each with the scopes of tokens that include it."""
        return tuple((permission, scopes_with(permission)) for permission in self.viewer.role.permissions)


@router.api_route("/account", methods=["GET", "HEAD"])
def account(request: Request, session: DbSession, view: CurrentView, owner: Owner) -> Response:
    """Password, sessions and tokens."""
    return view.html("people/account.html", _shown(request, session, owner))


@router.post("/account/password")
def change_password(
    request: Request,
    session: DbSession,
    owner: Owner,
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
) -> Response:
    """Set the password. All other sessions end."""
    set_password(session, account_id=owner.id, password=password, kept_session=request.cookies.get(SESSION_COOKIE))
    return RedirectResponse("/account", status_code=303)


@router.post("/account/sessions/{name}/end")
def end(session: DbSession, owner: Owner, name: str) -> Response:
    """End one of one's own sessions."""
    end_session(session, account_id=owner.id, name=name)
    return RedirectResponse("/account", status_code=303)


@router.post("/account/tokens")
def add_token(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    request: Request,
    session: DbSession,
    view: CurrentView,
    owner: Owner,
    name: Annotated[str, Form(max_length=LONGEST_NAME)],
    scope: Annotated[str, Form(max_length=LONGEST_FIELD)],
    days: Annotated[int, Form()],
) -> Response:
    """Make a token and show it, this once."""
    meant = one_of(scope, TokenScope, what="scope")
    token = create_api_token(session, account_id=owner.id, name=name, scope=meant, days=days)
    session.flush()
    return view.html("people/account.html", _shown(request, session, owner, new_token=token))


@router.post("/account/tokens/{token_id}/revoke")
def revoke(session: DbSession, owner: Owner, token_id: int) -> Response:
    """Let a token work no longer. Raises NotFound."""
    revoke_api_token(session, account_id=owner.id, token_id=min(max(token_id, 0), BIGGEST_ID))
    return RedirectResponse("/account", status_code=303)


def _shown(request: Request, session: Session, owner: Viewer, *, new_token: str | None = None) -> AccountPage:
    return AccountPage(
        viewer=owner,
        has_password=has_password(session, account_id=owner.id),
        sessions=sessions_of(session, account_id=owner.id, session_token=request.cookies.get(SESSION_COOKIE)),
        tokens=api_tokens_of(session, account_id=owner.id),
        scopes=tuple(TokenScope),
        new_token=new_token,
    )
