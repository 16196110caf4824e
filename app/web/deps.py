"""What routes are given: the session of their transaction, the viewer, the settings.

What only looks something up in memory is ``async``: it saves a hop to a thread and back. All else, and
every route, is a plain function in a thread.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.db import Sessions, transaction
from app.domain.roles import Action
from app.errors import Forbidden, Invalid, LoginRequired, NotFound
from app.queries.accounts import Viewer, viewer_of
from app.settings import Settings

SESSION_COOKIE = "neuron_audit_session"


def open_session(request: Request) -> Iterator[Session]:
    """One transaction for the request; it is committed before the answer is sent."""
    with transaction(cast("Sessions", request.app.state.sessions)) as session:
        yield session


DbSession = Annotated[Session, Depends(open_session, scope="function")]


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
