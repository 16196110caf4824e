"""Everybody who has an account, for administrators: invite, change roles, disable."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_FIELD, LONGEST_NAME
from app.domain.roles import Permission, Role
from app.errors import Conflict
from app.queries.common.inputs import one_of
from app.queries.people.accounts import (
    PersonShown,
    Viewer,
    change_role,
    disable_account,
    enable_account,
    invite,
    new_login_address,
    people_shown,
    person_named,
)
from app.settings import Settings
from app.web.deps import AppSettings, DbSession, allowed_to
from app.web.rendering.templating import CurrentView

router = APIRouter(include_in_schema=False)

INVITATION_DAYS = 7


@dataclass(frozen=True, slots=True)
class Invitation:
    """An address that logs a person in once."""

    name: str
    address: str
    days: int = INVITATION_DAYS


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Everybody, and an invitation that has just been made."""

    people: tuple[PersonShown, ...]
    roles: tuple[Role, ...]
    invitation: Invitation | None = None


Administrator = Annotated[Viewer, Depends(allowed_to(Permission.MANAGE_PEOPLE), scope="function")]
RoleSent = Annotated[str, Form(max_length=LONGEST_FIELD)]


@router.api_route("/people", methods=["GET", "HEAD"])
def people(session: DbSession, view: CurrentView, _administrator: Administrator) -> Response:
    """Everybody who has an account."""
    return view.html("people/page.html", _page(session))


@router.post("/people")
def add(
    session: DbSession,
    view: CurrentView,
    settings: AppSettings,
    administrator: Administrator,
    name: Annotated[str, Form(max_length=LONGEST_NAME)],
    role: RoleSent,
) -> Response:
    """Add an account and show the address that logs it in once. Raises Invalid, Conflict."""
    meant = one_of(role, Role, what="role")
    token = invite(session, name=name, role=meant, by=administrator.id, days=INVITATION_DAYS)
    return _with_address(session, view, settings, name.strip(), token)


@router.post("/people/{account_id}/role")
def set_role(session: DbSession, administrator: Administrator, account_id: int, role: RoleSent) -> Response:
    """Change a role. Raises NotFound, Conflict."""
    person = person_named(session, account_id=account_id)
    change_role(session, account_id=person.id, role=one_of(role, Role, what="role"), by=administrator.id)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/address")
def new_address(
    session: DbSession, view: CurrentView, settings: AppSettings, administrator: Administrator, account_id: int
) -> Response:
    """Show a new address that logs an account in once. Raises NotFound, Conflict."""
    person = person_named(session, account_id=account_id)
    token = new_login_address(session, account_id=person.id, by=administrator.id, days=INVITATION_DAYS)
    return _with_address(session, view, settings, person.name, token)


@router.post("/people/{account_id}/disable")
def disable(session: DbSession, administrator: Administrator, account_id: int) -> Response:
    """Disable an account and end its sessions. Raises NotFound, Conflict."""
    person = person_named(session, account_id=account_id)
    if person.id == administrator.id:
        raise Conflict("You cannot disable your own account. Another administrator can.")
    disable_account(session, name=person.name)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/enable")
def enable(session: DbSession, _administrator: Administrator, account_id: int) -> Response:
    """Let a disabled account log in again. Raises NotFound, Conflict."""
    enable_account(session, name=person_named(session, account_id=account_id).name)
    return RedirectResponse("/people", status_code=303)


def _page(session: Session, invitation: Invitation | None = None) -> PeoplePage:
    return PeoplePage(people_shown(session), tuple(Role), invitation)


def _with_address(session: Session, view: CurrentView, settings: Settings, name: str, token: str) -> Response:
    session.flush()
    return view.html("people/page.html", _page(session, Invitation(name, settings.login_address(token))))
