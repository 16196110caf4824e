"""Is the program on this machine alive? Asked by health checks of containers and process managers."""

import socket
from datetime import timedelta

import httpx
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from app.db import make_sessions, open_database, transaction
from app.models import Worker
from app.settings import Settings

MISSED_RENEWALS = 3
"""A worker that has missed so many renewals counts as dead."""


def web_is_alive(settings: Settings) -> bool:
    """Whether the web server on this machine responds and reaches its database."""
    try:
        response = httpx.get(f"http://127.0.0.1:{settings.port}/health", timeout=5)
    except httpx.HTTPError:
        return False
    return response.is_success


def worker_is_alive(settings: Settings) -> bool:
    """Whether a worker of this machine has shown itself lately."""
    recently = func.now() - timedelta(seconds=MISSED_RENEWALS * settings.renew_seconds)
    seen = select(Worker.id).where(
        Worker.host == socket.gethostname(), Worker.stopped_at.is_(None), Worker.seen_at > recently
    )
    engine = open_database(settings)
    try:
        with transaction(make_sessions(engine)) as session:
            return session.scalar(seen.limit(1)) is not None
    except OperationalError:
        return False
    finally:
        engine.dispose()
