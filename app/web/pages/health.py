"""Whether the web server responds and reaches its database."""

from dataclasses import dataclass
from typing import cast

from anyio import CapacityLimiter, move_on_after, to_thread
from fastapi import Request
from sqlalchemy import text

from app.db import Sessions
from app.errors import Unavailable
from app.web.http.routing import PageRouter

router = PageRouter()

PATIENCE_SECONDS = 3.0
CHECKS_AT_ONCE = CapacityLimiter(2)
"""Threads of their own: those of pages may all wait for the database."""


@dataclass(frozen=True, slots=True)
class Health:
    status: str


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(request: Request) -> Health:
    """Answers ``ok`` where the database does, within three seconds."""
    sessions = cast("Sessions", request.app.state.probing)

    def ask() -> None:
        with sessions() as session:
            session.execute(text("SELECT 1"))

    with move_on_after(PATIENCE_SECONDS):
        await to_thread.run_sync(ask, abandon_on_cancel=True, limiter=CHECKS_AT_ONCE)
        return Health("ok")
    raise Unavailable
