"""Log in by an OpenID provider, where the settings name one."""

import secrets
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.db import transaction
from app.domain.bounds import LONGEST_ADDRESS, LONGEST_OPENID_FIELD
from app.errors import NotFound
from app.queries.people.logins import start_session
from app.queries.people.openid import PendingLogin, account_of, remember_login, take_login
from app.web.deps import AppSettings, is_https
from app.web.http.routing import PageRouter
from app.web.login.openid import CALLBACK, OpenIdProvider, OpenIdRefused, allowed_domains
from app.web.login.sessions import agent_of, client_of, count_attempts, logged_in
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView

router = PageRouter(include_in_schema=False)

BROWSER_COOKIE = "neuron_audit_openid"
"""Ties a login to the browser that began it, for as long as it takes."""
MINUTES = 10


@dataclass(frozen=True, slots=True)
class LoginEnded:
    """After a logout here: the provider may still hold a session."""

    host: str


def configured(request: Request) -> OpenIdProvider:
    """The provider of the settings. Raises NotFound where there is none."""
    provider: OpenIdProvider | None = request.app.state.openid
    if provider is None:
        raise NotFound
    return provider


Provider = Annotated[OpenIdProvider, Depends(configured)]
Field = Annotated[str, Query(max_length=LONGEST_OPENID_FIELD)]


@router.get("/login/openid")
def begin(
    request: Request,
    settings: AppSettings,
    provider: Provider,
    back: Annotated[str, Query(alias="next", max_length=LONGEST_ADDRESS)] = "",
) -> Response:
    """Send the browser to the provider.

    A link, since the policy of pages lets no form lead to another site. Whoever follows it changes nothing but what
    this browser is about to do.
    """
    count_attempts(request, limits={f"openid {client_of(request)}": settings.client_login_attempts})
    begun = provider.begin()
    browser = secrets.token_urlsafe(32)
    with transaction(request.app.state.sessions) as session:
        remember_login(
            session,
            state=begun.state,
            browser=browser,
            login=PendingLogin(begun.nonce, begun.code_verifier, local_path(back) if back else ""),
            minutes=MINUTES,
        )
    response = RedirectResponse(begun.address, status_code=303)
    response.set_cookie(
        BROWSER_COOKIE,
        browser,
        max_age=MINUTES * 60,
        path="/login/openid",
        httponly=True,
        samesite="lax",
        secure=is_https(request),
    )
    return response


@router.get(CALLBACK)
def finish(
    request: Request, settings: AppSettings, provider: Provider, state: Field = "", code: Field = "", error: Field = ""
) -> Response:
    """Hand a session to the person that the provider names. Raises LoginFailed, OpenIdRefused, NoAccount."""
    with transaction(request.app.state.sessions) as session:  # by itself: a login that fails is used up all the same
        login = take_login(session, state=state, browser=request.cookies.get(BROWSER_COOKIE, ""))
    if error or not code:
        raise OpenIdRefused(f"{provider.host} did not log you in: {error or 'it sent no code'}.")
    identity = provider.identity(code=code, nonce=login.nonce, code_verifier=login.code_verifier)
    with transaction(request.app.state.sessions) as session:
        account_id = account_of(session, identity=identity, domains=allowed_domains(settings))
        token = start_session(
            session, account_id=account_id, days=settings.session_days, agent=agent_of(request), by_openid=True
        )
    response = logged_in(request, settings, token, login.back)
    response.delete_cookie(BROWSER_COOKIE, path="/login/openid")
    return response


@router.api_route("/login/openid/ended", methods=["GET", "HEAD"])
def ended(view: CurrentView, provider: Provider) -> Response:
    """After a logout: how to end the provider's session, too."""
    return view.html("login/ended.html", LoginEnded(provider.host))


@router.get("/login/openid/end")
def end(provider: Provider) -> Response:
    """Send the browser to where the provider ends its session. Raises NotFound where it has no such page."""
    address = provider.end_address()
    if address is None:
        raise NotFound(f"{provider.host} has no page that ends its session. Log out there by its own pages.")
    return RedirectResponse(address, status_code=303)
