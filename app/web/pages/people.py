"""Everybody who has an account, for administrators: invite, change roles, disable."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_EMAIL, LONGEST_FIELD, LONGEST_NAME
from app.domain.roles import Permission, Role, roles_with
from app.errors import Conflict
from app.queries.common.inputs import one_of, price_of
from app.queries.language_models.calls import cap_person
from app.queries.people.accounts import (
    MINUTES_A_DAY,
    PersonShown,
    Viewer,
    change_role,
    disable_account,
    enable_account,
    has_password,
    invite,
    new_login_address,
    people_shown,
    person_named,
    set_email,
)
from app.queries.people.second_factor import remove_factor
from app.settings import Settings
from app.web.deps import AppSettings, DbSession, allowed_to, confirmed_to
from app.web.http.routing import PageRouter
from app.web.rendering.templating import CurrentView

router = PageRouter(include_in_schema=False)

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
    has_openid: bool
    """Whether people may log in by an OpenID provider."""
    has_password: bool
    """Whether the viewer has one."""
    invitation: Invitation | None = None

    @property
    def permissions(self) -> tuple[tuple[Permission, tuple[Role, ...]], ...]:
        """Every permission with the roles that include it."""
        return tuple((permission, roles_with(permission)) for permission in Permission)


Administrator = Annotated[Viewer, Depends(allowed_to(Permission.MANAGE_PEOPLE), scope="function")]
ConfirmedAdministrator = Annotated[Viewer, Depends(confirmed_to(Permission.MANAGE_PEOPLE), scope="function")]
RoleSent = Annotated[str, Form(max_length=LONGEST_FIELD)]
EmailSent = Annotated[str, Form(max_length=LONGEST_EMAIL)]


class InviteForm(BaseModel):
    """Who is invited."""

    name: str = Field(max_length=LONGEST_NAME)
    role: str = Field(max_length=LONGEST_FIELD)
    email: str = Field("", max_length=LONGEST_EMAIL)


@router.api_route("/people", methods=["GET", "HEAD"])
def people(session: DbSession, view: CurrentView, settings: AppSettings, administrator: Administrator) -> Response:
    """Everybody who has an account."""
    return view.html("people/page.html", _page(session, settings, administrator))


@router.post("/people")
def add(
    session: DbSession,
    view: CurrentView,
    settings: AppSettings,
    administrator: ConfirmedAdministrator,
    form: Annotated[InviteForm, Form()],
) -> Response:
    """Add an account and show the address that logs it in once. Raises Invalid, Conflict."""
    role = one_of(form.role, Role, what="role")
    token = invite(session, name=form.name, role=role, email=form.email, by=administrator.id, days=INVITATION_DAYS)
    return _with_address(session, view, settings, administrator, name=form.name.strip(), token=token)


@router.post("/people/{account_id}/role")
def set_role(session: DbSession, administrator: ConfirmedAdministrator, account_id: int, role: RoleSent) -> Response:
    """Change a role. Raises NotFound, Conflict."""
    person = person_named(session, account_id=account_id)
    change_role(session, account_id=person.id, role=one_of(role, Role, what="role"), by=administrator.id)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/email")
def change_email(
    session: DbSession, administrator: ConfirmedAdministrator, account_id: int, email: EmailSent = ""
) -> Response:
    """Set or remove the address by which an OpenID provider knows a person. Raises NotFound, Invalid, Conflict."""
    person = person_named(session, account_id=account_id)
    set_email(session, account_id=person.id, email=email, by=administrator.id)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/cap")
def cap(
    session: DbSession,
    administrator: Administrator,
    account_id: int,
    price: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
) -> Response:
    """Cap what a person's calls to language models may cost a day; empty lifts it. Raises NotFound, Invalid."""
    person = person_named(session, account_id=account_id)
    most = price_of(price, what="cap per day")
    cap_person(session, account_id=person.id, price_cap_per_day=most, by=administrator.id)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/address")
def new_address(
    session: DbSession, view: CurrentView, settings: AppSettings, administrator: ConfirmedAdministrator, account_id: int
) -> Response:
    """Show a new address that logs an account in once. Raises NotFound, Conflict."""
    person = person_named(session, account_id=account_id)
    minutes = INVITATION_DAYS * MINUTES_A_DAY
    token = new_login_address(session, account_id=person.id, by=administrator.id, minutes=minutes)
    return _with_address(session, view, settings, administrator, name=person.name, token=token)


@router.post("/people/{account_id}/disable")
def disable(session: DbSession, administrator: ConfirmedAdministrator, account_id: int) -> Response:
    """Disable an account and end its sessions. Raises NotFound, Conflict."""
    person = person_named(session, account_id=account_id)
    if person.id == administrator.id:
        raise Conflict("You cannot disable your own account. Another administrator can.")
    disable_account(session, name=person.name, by=administrator.id)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/enable")
def enable(session: DbSession, administrator: ConfirmedAdministrator, account_id: int) -> Response:
    """Let a disabled account log in again. Raises NotFound, Conflict."""
    enable_account(session, name=person_named(session, account_id=account_id).name, by=administrator.id)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{account_id}/factor/reset")
def reset_factor(session: DbSession, administrator: ConfirmedAdministrator, account_id: int) -> Response:
    """Remove the second factor of who has lost it. Raises NotFound."""
    person = person_named(session, account_id=account_id)
    remove_factor(session, account_id=person.id, by=administrator.id)
    return RedirectResponse("/people", status_code=303)


def _page(session: Session, settings: Settings, viewer: Viewer, invitation: Invitation | None = None) -> PeoplePage:
    return PeoplePage(
        people=people_shown(session),
        roles=tuple(Role),
        has_openid=settings.openid_issuer is not None,
        has_password=has_password(session, account_id=viewer.id),
        invitation=invitation,
    )


def _with_address(
    session: Session, view: CurrentView, settings: Settings, by: Viewer, *, name: str, token: str
) -> Response:
    session.flush()
    shown = _page(session, settings, by, Invitation(name, settings.login_address(token)))
    return view.html("people/page.html", shown)
