"""Health checks of the program on this machine, for containers and process managers."""

import socket

import httpx
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.db import make_sessions, open_database, transaction
from app.models import Worker
from app.queries.work.workers import is_alive
from app.settings import Settings


def web_is_alive(settings: Settings) -> bool:
    """Whether the web server on this machine responds and reaches its database."""
    try:
        response = httpx.get(f"http://127.0.0.1:{settings.port}/health", timeout=5)
    except httpx.HTTPError:
        return False
    return response.is_success


def worker_is_alive(settings: Settings) -> bool:
    """Whether a worker of this machine is alive, by the rule of pages."""
    seen = select(Worker.id).where(Worker.host == socket.gethostname(), is_alive())
    engine = open_database(settings)
    try:
        with transaction(make_sessions(engine)) as session:
            return session.scalar(seen.limit(1)) is not None
    except OperationalError:
        return False
    finally:
        engine.dispose()
