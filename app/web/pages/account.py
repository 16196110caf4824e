"""One's own account: password, sessions, tokens for programs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_ADDRESS, LONGEST_FIELD, LONGEST_NAME, LONGEST_PASSWORD
from app.domain.roles import Permission, TokenScope, scopes_with
from app.errors import ConfirmationRequired
from app.queries.common.inputs import one_of
from app.queries.people.accounts import Viewer, has_password
from app.queries.people.api_tokens import ApiTokenShown, api_tokens_of, create_api_token, revoke_api_token
from app.queries.people.passwords import check_password, confirm_password, set_password
from app.queries.people.second_factor import n_recovery_codes
from app.queries.people.sessions import SessionShown, end_session, sessions_of
from app.settings import Settings
from app.web.deps import AppSettings, ConfirmedOwner, DbSession, Owner, session_token_of
from app.web.http.routing import PageRouter
from app.web.login.sessions import count_attempts
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView

router = PageRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What an account consists of."""

    viewer: Viewer
    has_password: bool
    n_recovery_codes: int | None
    """None without a second factor."""
    sessions: tuple[SessionShown, ...]
    tokens: tuple[ApiTokenShown, ...]
    scopes: tuple[TokenScope, ...]
    new_token: str | None = None
    """Shown once."""

    @property
    def is_advised(self) -> bool:
        """Whether a second factor is recommended: for who may change what others may do."""
        return self.has_password and self.viewer.may(Permission.MANAGE_PEOPLE)

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
    settings: AppSettings,
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
    current: Annotated[str, Form(max_length=LONGEST_PASSWORD)] = "",
) -> Response:
    """Set the password; one that is set already is asked for. All other sessions end.

    Raises PasswordMismatch, and ConfirmationRequired where there is none and the login was some time ago.
    """
    if has_password(session, account_id=owner.id):
        _count(request, settings, owner)
        check_password(session, account_id=owner.id, password=current)
    elif not owner.is_confirmed:
        raise ConfirmationRequired
    set_password(session, account_id=owner.id, password=password, kept_session=session_token_of(request))
    return RedirectResponse("/account", status_code=303)


@router.post("/account/confirm")
def confirm(
    request: Request,
    session: DbSession,
    owner: Owner,
    settings: AppSettings,
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
    back: Annotated[str, Form(alias="next", max_length=LONGEST_ADDRESS)] = "/account",
) -> Response:
    """Show again who you are, so that accounts can be changed for a while. Raises PasswordMismatch."""
    _count(request, settings, owner)
    token = session_token_of(request) or ""
    confirm_password(session, account_id=owner.id, session_token=token, password=password)
    return RedirectResponse(local_path(back), status_code=303)


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
    owner: ConfirmedOwner,
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


def _count(request: Request, settings: Settings, owner: Viewer) -> None:
    """Count an attempt at the owner's password, together with those to log in. Raises TooManyAttempts."""
    count_attempts(request, limits={f"name {owner.name.casefold()}": settings.login_attempts})


def _shown(request: Request, session: Session, owner: Viewer, *, new_token: str | None = None) -> AccountPage:
    return AccountPage(
        viewer=owner,
        has_password=has_password(session, account_id=owner.id),
        n_recovery_codes=n_recovery_codes(session, account_id=owner.id),
        sessions=sessions_of(session, account_id=owner.id, session_token=session_token_of(request)),
        tokens=api_tokens_of(session, account_id=owner.id),
        scopes=tuple(TokenScope),
        new_token=new_token,
    )
