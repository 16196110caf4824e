"""The web program: one factory, one ``serve``."""

import gc
from collections.abc import Sequence

import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware

from app.db import Sessions, make_reading_sessions, make_sessions, transaction
from app.errors import DomainError
from app.queries.people.accounts import any_account
from app.schema import open_installation
from app.settings import Settings
from app.version import code_version
from app.web.deps import refuse_nul
from app.web.heat.vocabularies import Vocabularies
from app.web.http.compression import Compression
from app.web.http.security import (
    KnownHosts,
    RequestLog,
    SameOrigin,
    SecurityHeaders,
    host_name,
    is_address,
    is_loopback,
)
from app.web.http.static import STATIC, VersionedFiles
from app.web.pages import (
    batches,
    compare,
    explanations,
    flags,
    health,
    home,
    login,
    methods,
    neuron,
    own_explanations,
    subject,
    trials,
)
from app.web.rendering.problems import install_handlers
from app.web.rendering.templating import Renderer

MAX_BODY_BYTES = 1_000_000
OBJECTS_BETWEEN_COLLECTIONS = 50_000

# In this order: fixed words first, then addresses that begin with a subject's name.
ROUTERS: Sequence[APIRouter] = (
    health.router,
    home.router,
    login.router,
    batches.router,
    flags.router,
    methods.router,
    explanations.router,
    compare.router,
    own_explanations.router,
    trials.router,
    neuron.router,
    subject.router,
)


class UnsafeBind(DomainError):
    """To listen beyond this machine the server needs an account: `neuron-audit user add NAME --role admin`."""


def create_app(settings: Settings, sessions: Sessions, *, reading: Sessions | None = None) -> FastAPI:
    """The application over one database. ``reading`` are the sessions of pages, by default those of all else too."""
    app = FastAPI(
        title="Neuron Audit",
        version=code_version(),
        description="Every page of the site as JSON, at the page's address with `.json` behind it.",
        docs_url=None,  # Swagger UI and ReDoc load scripts from other hosts, which the policy forbids
        redoc_url=None,
        dependencies=[Depends(refuse_nul)],
        max_body_size=MAX_BODY_BYTES,
        middleware=[
            Middleware(RequestLog),
            Middleware(SecurityHeaders),
            Middleware(KnownHosts, names=_own_names(settings)),
            Middleware(SameOrigin, public_url=settings.public_url),
            Middleware(Compression),
        ],
    )
    app.state.settings = settings
    app.state.sessions = sessions
    app.state.reading = reading or sessions
    app.state.renderer = Renderer()
    app.state.vocabularies = Vocabularies()
    install_handlers(app)
    app.mount("/static", VersionedFiles(directory=STATIC), name="static")
    for router in ROUTERS:
        app.include_router(router)
    return app


def serve(settings: Settings) -> None:
    """Run the web server until it is stopped. Raises UnsafeBind, or what ``open_installation`` raises."""
    engine = open_installation(settings)
    sessions = make_sessions(engine)
    refuse_unsafe_bind(settings, sessions)
    # A page makes thousands of objects and drops them all: a collection every 700 would only walk over live ones.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    try:
        uvicorn.run(
            create_app(settings, sessions, reading=make_reading_sessions(engine)),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
        )
    finally:
        engine.dispose()


def refuse_unsafe_bind(settings: Settings, sessions: Sessions) -> None:
    """Raise UnsafeBind where others could reach a server that nobody can log in to."""
    if is_loopback(settings.host):
        return
    with transaction(sessions) as session:
        if not any_account(session):
            raise UnsafeBind


def _own_names(settings: Settings) -> list[str]:
    names = [] if is_address(settings.host) else [settings.host]
    if settings.public_url is not None:
        names.append(host_name(settings.public_url.partition("://")[2].partition("/")[0]))
    return names
