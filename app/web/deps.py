"""The dependencies of routes: the session of their transaction, the viewer, the settings.

Dependencies that only read memory are ``async``, which saves a switch to a thread and back. All others, and every
route, are plain functions that run in a thread.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Path, Query, Request
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.db import Sessions, allow_seconds, transaction
from app.domain.bounds import BIGGEST_ID
from app.domain.roles import IN_PERSON, Permission, may, roles_with
from app.errors import ConfirmationRequired, Forbidden, Invalid, LoginRequired, NotFound
from app.queries.people.accounts import Viewer
from app.queries.people.api_tokens import viewer_of_api_token
from app.queries.people.viewers import keep_session, viewer_of
from app.settings import Settings
from app.web.http.security import ALWAYS_ANSWERED, EMBEDDERS, SAFE_METHODS
from app.web.http.unchanged import limit_validity
from app.web.http.uploads import SentForm, sent_form

OPEN_TO_ALL = frozenset(
    {
        "/health",
        "/login",
        "/login/openid",
        "/login/openid/callback",
        "/login/openid/end",
        "/login/openid/ended",
        "/login/password",
    }
)
TAKES_ANY_FIELD = frozenset({"/login/openid/callback"})
"""Endpoints to which OpenID providers may append fields of their own."""
SESSION_COOKIE = "neuron_audit_session"
EMBED = "embed"
"""The query field by which another site's frame requests a page."""
HOST_PREFIX = "__Host-"
"""Browsers accept a cookie with this prefix over HTTPS only, and from no other host of the same domain."""
APPENDED = ("utm_", "fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "mc_", "igsh", "srsltid", "yclid")
"""Prefixes of query fields that other sites append to links."""


async def open_session(request: Request) -> AsyncIterator[Session]:
    """A read-only session for a page, or a transaction for a request that changes something.

    Closing a read-only session sends nothing to the database, so it needs no thread.
    """
    state = request.app.state
    if request.method in SAFE_METHODS:
        with cast("Sessions", state.reading)() as session:
            yield session
    else:
        async with contextmanager_in_threadpool(_changing(state.sessions, state.settings)) as session:
            yield session


@contextmanager
def _changing(sessions: Sessions, settings: Settings) -> Iterator[Session]:
    """A transaction whose statements may take longer than those of a page."""
    with transaction(sessions) as session:
        allow_seconds(session, seconds=settings.change_seconds)
        yield session


DbSession = Annotated[Session, Depends(open_session, scope="function")]
IdInPath = Annotated[int, Path(ge=1, le=BIGGEST_ID)]
IdInQuery = Annotated[int | None, Query(ge=1, le=BIGGEST_ID)]


async def reading_sessions(request: Request) -> Sessions:
    """Sessions for reading while the response is being sent, when the request's own session has ended."""
    return cast("Sessions", request.app.state.reading)


ReadingSessions = Annotated[Sessions, Depends(reading_sessions)]


async def app_settings(request: Request) -> Settings:
    """The settings that the program was started with."""
    return cast("Settings", request.app.state.settings)


AppSettings = Annotated[Settings, Depends(app_settings)]


async def current_viewer(request: Request, session: DbSession) -> Viewer | None:
    """The account that makes the request, by a browser's session or a program's token; None without one.

    Raises LoginRequired for an invalid program's token: as an anonymous visitor, the program would silently see less.
    """
    if request.query_params.get(EMBED) == "1" or request.url.path.startswith(ALWAYS_ANSWERED):
        # A page in another site's frame shows only what everybody may see, since a click there may not be the person's
        # intent.
        # A health check must not wait for anything that other requests may hold.
        request.state.viewer = None
        return None
    cookie, token = session_token_of(request), bearer_token(request)
    if token is not None:
        viewer = await run_in_threadpool(viewer_of_api_token, session, token=token)
        if viewer is None:
            raise LoginRequired("This token does not work. It is unknown, revoked or too old.")
    else:
        viewer = await run_in_threadpool(_person, request, session, cookie) if cookie else None
    request.state.viewer = viewer  # for an error page that may be rendered later
    return viewer


def _person(request: Request, session: Session, cookie: str) -> Viewer | None:
    """The person whose session this is. Records that the session is in use."""
    settings = cast("Settings", request.app.state.settings)
    viewer = viewer_of(
        session,
        session_token=cookie,
        idle_hours=settings.session_idle_hours,
        confirm_minutes=settings.confirm_minutes,
    )
    if viewer is not None and viewer.was_idle:
        with transaction(request.app.state.sessions) as noting:  # the page's own session is read-only
            keep_session(noting, session_token=cookie)
    if viewer is not None and viewer.known_until is not None:
        limit_validity(request.state, viewer.known_until.timestamp())
    return viewer


def is_https(request: Request) -> bool:
    """Whether browsers reach this site over HTTPS."""
    settings = cast("Settings", request.app.state.settings)
    return request.url.scheme == "https" or settings.origin.startswith("https://")


def session_cookie(request: Request) -> str:
    """The name of the cookie with the session's token."""
    return HOST_PREFIX + SESSION_COOKIE if is_https(request) else SESSION_COOKIE


def session_token_of(request: Request) -> str | None:
    """The browser's session token; None if it sent none."""
    return request.cookies.get(session_cookie(request))


def bearer_token(request: Request) -> str | None:
    """A program's token from ``Authorization: Bearer TOKEN``; None if it sent none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


CurrentViewer = Annotated[Viewer | None, Depends(current_viewer, scope="function")]


async def refuse_strangers(request: Request, viewer: CurrentViewer, settings: AppSettings) -> None:
    """If the settings require accounts, refuse everything but the login without one. Raises LoginRequired."""
    if settings.require_account and viewer is None and request.url.path not in OPEN_TO_ALL:
        raise LoginRequired


async def requested_embed(
    request: Request,
    settings: AppSettings,
    embed: Annotated[str, Query(pattern="^1?$", description="1 for a frame in a site that the settings name")] = "",
) -> bool:
    """Whether the page is requested for another site's frame. Raises Forbidden if no site may show it."""
    if not embed:
        return False
    if not settings.embed_origins:
        raise Forbidden("No other site may show this page in a frame. The operator can set NEURON_AUDIT_EMBED_ORIGINS.")
    setattr(request.state, EMBEDDERS, settings.embed_origins)
    return True


RequestedEmbed = Annotated[bool, Depends(requested_embed)]


def allowed_to(permission: Permission) -> Callable[[Viewer | None], Viewer]:
    """A dependency that returns the viewer, or refuses with 401 or 403."""

    def check(viewer: CurrentViewer) -> Viewer:
        if viewer is None:
            raise LoginRequired
        if not viewer.may(permission):
            raise Forbidden(_reason(viewer, permission))
        return viewer

    return check


def confirmed_to(permission: Permission) -> Callable[[Viewer | None], Viewer]:
    """The same for changes to accounts: also refused if the login was some time ago."""
    allowed = allowed_to(permission)

    def check(viewer: CurrentViewer) -> Viewer:
        person = allowed(viewer)
        if not person.is_confirmed:
            raise ConfirmationRequired
        return person

    return check


def _reason(viewer: Viewer, permission: Permission) -> str:
    """Why a viewer may not do this, and which roles may."""
    if not may(viewer.role, permission):
        roles = ", ".join(roles_with(permission))
        return f"The role {viewer.role} may not {permission.meaning}. Roles that may: {roles}."
    if permission in IN_PERSON:
        return "A program may not do this. Log in with a browser."
    return f"The scope of this token, {viewer.scope}, does not include this. Make a token of another scope."


MayQueue = Annotated[Viewer, Depends(allowed_to(Permission.QUEUE), scope="function")]
MayCancel = Annotated[Viewer, Depends(allowed_to(Permission.CANCEL), scope="function")]
MayTry = Annotated[Viewer, Depends(allowed_to(Permission.TRY), scope="function")]
MayManageCampaigns = Annotated[Viewer, Depends(allowed_to(Permission.MANAGE_CAMPAIGNS), scope="function")]
MayReadOperations = Annotated[Viewer, Depends(allowed_to(Permission.READ_OPERATIONS), scope="function")]
MayReview = Annotated[Viewer, Depends(allowed_to(Permission.REVIEW), scope="function")]
Owner = Annotated[Viewer, Depends(allowed_to(Permission.MANAGE_OWN_ACCOUNT), scope="function")]
ConfirmedOwner = Annotated[Viewer, Depends(confirmed_to(Permission.MANAGE_OWN_ACCOUNT), scope="function")]


async def _sent_by_operator(request: Request, viewer: MayQueue, settings: AppSettings) -> AsyncIterator[SentForm]:
    """A form with a file, read only after its sender's permission was checked."""
    async with sent_form(request, most_megabytes=settings.upload_megabytes) as form:
        yield form


SentByOperator = Annotated[SentForm, Depends(_sent_by_operator, scope="function")]
Form = TypeVar("Form", bound=BaseModel)


def validated(model: type[Form], form: SentForm) -> Form:
    """The fields of a form, validated by their model. Raises Invalid."""
    try:
        return model.model_validate(form.fields)
    except ValidationError as error:
        parts = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors())
        raise Invalid(f"{Invalid().message} {parts}.") from None


async def check_address(request: Request) -> None:
    """Refuse URLs with parameters that would be ignored. Raises NotFound or Invalid.

    No stored text contains a NUL, which PostgreSQL cannot store. Unknown fields, and the first of two values, would be
    silently ignored: a misspelt filter would show everything as if it had been filtered.
    """
    if "\0" in request.url.path:
        raise NotFound
    sent = request.query_params.multi_items()
    if any("\0" in part for pair in sent for part in pair):
        raise Invalid("The address holds a NUL character. Remove it and try again.")
    if not sent or request.method not in SAFE_METHODS or request.url.path in TAKES_ANY_FIELD:
        return
    known = _query_fields(request.scope["route"])
    times = Counter(name for name, _ in sent if not name.startswith(APPENDED))
    for name, number in times.items():
        if name not in known:
            raise Invalid(f"This page has no field {name[:40]!r}. Its fields: {', '.join(sorted(known)) or 'none'}.")
        if number > 1 and not known[name]:
            raise Invalid(f"The field {name!r} takes one value, and the address gives it {number}.")


_FIELDS: dict[Callable[..., Any], dict[str, bool]] = {}
"""The query fields of each endpoint, cached since every request needs them."""


def _query_fields(route: APIRoute) -> dict[str, bool]:
    """The query fields that a route and its dependencies read, and whether each takes several values."""
    if route.endpoint not in _FIELDS:
        _FIELDS[route.endpoint] = dict(_fields_of(route.dependant))
    return _FIELDS[route.endpoint]


def _fields_of(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    yield from ((field.alias, "list[" in str(field.field_info.annotation)) for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _fields_of(each)
