"""What routes are given: the session of their transaction, the viewer, the settings.

What only looks something up in memory is ``async``: it saves a hop to a thread and back. All else, and
every route, is a plain function in a thread.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.concurrency import contextmanager_in_threadpool
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.db import Sessions, allow_seconds, transaction
from app.domain.roles import Action
from app.errors import Forbidden, Invalid, LoginRequired, NotFound
from app.queries.people.accounts import Viewer, viewer_of
from app.settings import Settings
from app.web.http.security import SAFE_METHODS

OPEN_TO_ALL = frozenset({"/login", "/health"})
SESSION_COOKIE = "neuron_audit_session"


async def open_session(request: Request) -> AsyncIterator[Session]:
    """The session of a page, which only reads, or the transaction of a request that changes something.

    A session that reads ends without a word to the database: that is no work for a thread.
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


async def app_settings(request: Request) -> Settings:
    """The settings that the program was started with."""
    return cast("Settings", request.app.state.settings)


AppSettings = Annotated[Settings, Depends(app_settings)]


async def current_viewer(request: Request, session: DbSession) -> Viewer | None:
    """Who is logged in, if anybody."""
    token = request.cookies.get(SESSION_COOKIE)
    viewer = await run_in_threadpool(viewer_of, session, session_token=token) if token else None
    request.state.viewer = viewer  # for the page of an error that comes later
    return viewer


CurrentViewer = Annotated[Viewer | None, Depends(current_viewer, scope="function")]


async def refuse_strangers(request: Request, viewer: CurrentViewer, settings: AppSettings) -> None:
    """Where the settings say so, nothing but the way in can be seen without an account. Raises LoginRequired."""
    if settings.require_account and viewer is None and request.url.path not in OPEN_TO_ALL:
        raise LoginRequired


def allowed_to(action: Action) -> Callable[[Viewer | None], Viewer]:
    """A dependency that answers the viewer, or refuses with 401 or 403."""

    def check(viewer: CurrentViewer) -> Viewer:
        if viewer is None:
            raise LoginRequired
        if not viewer.may(action):
            raise Forbidden(f"Your account is a {viewer.role}'s and may not do this.")
        return viewer

    return check


MayReadOperations = Annotated[Viewer, Depends(allowed_to(Action.READ_OPERATIONS), scope="function")]


async def refuse_nul(request: Request) -> None:
    """No text of ours holds a NUL, and PostgreSQL cannot store one."""
    if "\0" in request.url.path:
        raise NotFound
    if any("\0" in part for pair in request.query_params.multi_items() for part in pair):
        raise Invalid("The address holds a NUL character. Remove it and try again.")
