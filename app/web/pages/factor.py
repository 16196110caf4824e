"""The second factor of one's own account: set up an authenticator, remove it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import LONGEST_FIELD, LONGEST_NOTE
from app.queries.people.second_factor import add_factor, address_of, new_secret, remove_factor, sealed_secret
from app.secrets import SecretBox
from app.web.deps import AppSettings, ConfirmedOwner, DbSession
from app.web.http.routing import PageRouter
from app.web.login.factor import QrCode, pass_second_factor, qr_code
from app.web.rendering.templating import CurrentView

router = PageRouter(include_in_schema=False)

CodeSent = Annotated[str, Form(max_length=LONGEST_FIELD)]


@dataclass(frozen=True, slots=True)
class PeopleFactor:
    """A secret for an authenticator: as a QR code, in letters, and sealed for the form."""

    secret: str
    sealed: str
    qr: QrCode


@dataclass(frozen=True, slots=True)
class PeopleRecovery:
    """Recovery codes, shown once."""

    codes: tuple[str, ...]


@router.api_route("/account/factor", methods=["GET", "HEAD"])
def factor(view: CurrentView, settings: AppSettings, owner: ConfirmedOwner) -> Response:
    """A new secret. Nothing is stored before a code of it was shown."""
    secret = new_secret()
    sealed = sealed_secret(SecretBox(settings.data_dir), secret)
    shown = PeopleFactor(secret, sealed, qr_code(address_of(secret, name=owner.name)))
    return view.html("people/factor.html", shown)


@router.post("/account/factor")
def add(
    session: DbSession,
    view: CurrentView,
    settings: AppSettings,
    owner: ConfirmedOwner,
    sealed: Annotated[str, Form(max_length=LONGEST_NOTE)],
    code: CodeSent,
) -> Response:
    """Set up the authenticator, in place of the one before, and show the recovery codes. Raises Invalid."""
    codes = add_factor(session, account_id=owner.id, box=SecretBox(settings.data_dir), sealed=sealed, code=code)
    return view.html("people/recovery.html", PeopleRecovery(codes))


@router.post("/account/factor/remove")
def remove(
    request: Request, session: DbSession, settings: AppSettings, owner: ConfirmedOwner, code: CodeSent
) -> Response:
    """Log in without a code again. Raises CodeNeeded, TooManyAttempts, NotFound."""
    pass_second_factor(request, session, settings, account_id=owner.id, code=code)
    remove_factor(session, account_id=owner.id, by=owner.id)
    return RedirectResponse("/account", status_code=303)
