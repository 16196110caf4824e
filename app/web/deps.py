"""What routes are given: the session of their transaction, the viewer, the settings.

What only looks something up in memory is ``async``: it saves a hop to a thread and back. All else, and
every route, is a plain function in a thread.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.concurrency import contextmanager_in_threadpool
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.db import Sessions, transaction
from app.domain.roles import Action
from app.errors import Forbidden, Invalid, LoginRequired, NotFound
from app.queries.people.accounts import Viewer, viewer_of
from app.settings import Settings
from app.web.http.security import SAFE_METHODS

SESSION_COOKIE = "neuron_audit_session"


def open_transaction(request: Request) -> Iterator[Session]:
    """One transaction for the request; it is committed before the answer is sent."""
    with transaction(_sessions(request)) as session:
        yield session


async def open_session(request: Request) -> AsyncIterator[Session]:
    """The session of a page, which only reads, or the transaction of a request that changes something.

    A session that reads ends without a word to the database: that is no work for a thread.
    """
    if request.method in SAFE_METHODS:
        with cast("Sessions", request.app.state.reading)() as session:
            yield session
    else:
        async with contextmanager_in_threadpool(transaction(_sessions(request))) as session:
            yield session


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


DbSession = Annotated[Session, Depends(open_session, scope="function")]
Transaction = Annotated[Session, Depends(open_transaction, scope="function")]
"""For the rare address that changes something when it is read."""


async def current_viewer(request: Request, session: DbSession) -> Viewer | None:
    """Who is logged in, if anybody."""
    token = request.cookies.get(SESSION_COOKIE)
    viewer = await run_in_threadpool(viewer_of, session, session_token=token) if token else None
    request.state.viewer = viewer  # for the page of an error that comes later
    return viewer


CurrentViewer = Annotated[Viewer | None, Depends(current_viewer, scope="function")]


def allowed_to(action: Action) -> Callable[[Viewer | None], Viewer]:
    """A dependency that answers the viewer, or refuses with 401 or 403."""

    def check(viewer: CurrentViewer) -> Viewer:
        if viewer is None:
            raise LoginRequired
        if not viewer.may(action):
            raise Forbidden(f"Your account is a {viewer.role}'s and may not do this.")
        return viewer

    return check


async def app_settings(request: Request) -> Settings:
    """The settings that the program was started with."""
    return cast("Settings", request.app.state.settings)


AppSettings = Annotated[Settings, Depends(app_settings)]


async def refuse_nul(request: Request) -> None:
    """No text of ours holds a NUL, and PostgreSQL cannot store one."""
    if "\0" in request.url.path:
        raise NotFound
    if any("\0" in part for pair in request.query_params.multi_items() for part in pair):
        raise Invalid("The address holds a NUL character. Remove it and try again.")
