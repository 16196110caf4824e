"""The web program: the application factory and ``serve``."""

import gc
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
import uvicorn
from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy.exc import OperationalError
from starlette.middleware import Middleware

from app.db import (
    Limits,
    Sessions,
    database_url,
    make_reading_sessions,
    make_sessions,
    open_database,
    transaction,
)
from app.queries.people.accounts import any_account
from app.schema import open_installation
from app.settings import Settings
from app.version import code_version
from app.web.atlas.kept import Atlases
from app.web.deps import HOST_PREFIX, SESSION_COOKIE, check_address, refuse_strangers
from app.web.heat.vocabularies import Vocabularies
from app.web.http.compression import Compression
from app.web.http.security import (
    KnownHosts,
    RequestLog,
    RequestsAtOnce,
    SameOrigin,
    SecurityHeaders,
    host_name,
    is_address,
)
from app.web.http.static import VersionedFiles, static_files
from app.web.http.unchanged import MOST_BYTES, Unchanged, note_version
from app.web.http.versions import ConnectionVersions, SessionVersions, Versions
from app.web.login.openid import OpenIdProvider
from app.web.openapi.documented import DocumentedApp
from app.web.pages import (
    account,
    against,
    api,
    atlas,
    batches,
    bulk,
    campaigns,
    checks,
    compare,
    embeddings,
    excerpts,
    explanations,
    factor,
    figures,
    firing,
    flags,
    go,
    guide,
    health,
    home,
    imports,
    lists,
    login,
    methods,
    mine,
    neuron,
    neuron_files,
    new_subject,
    openapi,
    openid,
    own_explanations,
    people,
    plots,
    preview,
    providers,
    queueing,
    review,
    search,
    similar,
    subject,
    tasks,
    tokens,
    trials,
)
from app.web.rendering.problems import install_handlers
from app.web.rendering.templating import TEMPLATES, TOLD_COOKIE, Renderer

log: structlog.stdlib.BoundLogger = structlog.get_logger()

POOL_SECONDS = 1.0
"""Longest wait of a page for a connection, in seconds. With ``statement_seconds`` it stays below the promised 5."""
SILENT_SECONDS = 1.5
"""Seconds without a reply from the database after which a page checks whether the database responds at all."""
MAX_BODY_BYTES = 1_000_000
OBJECTS_BETWEEN_COLLECTIONS = 50_000

# Order matters: fixed words first, then URLs that begin with a subject's name.
ROUTERS: Sequence[APIRouter] = (
    health.router,
    home.router,
    go.router,
    search.router,
    lists.router,
    guide.router,
    login.router,
    openid.router,
    account.router,
    factor.router,
    mine.router,
    api.router,
    openapi.router,
    people.router,
    providers.router,
    batches.router,
    tasks.router,
    embeddings.router,
    imports.router,
    new_subject.router,
    flags.router,
    campaigns.router,
    figures.router,
    review.router,
    methods.router,
    explanations.router,
    compare.router,
    excerpts.router,
    own_explanations.router,
    similar.router,
    trials.router,
    preview.router,
    neuron.router,
    checks.router,
    bulk.router,
    neuron_files.router,
    firing.router,
    atlas.router,
    against.router,
    plots.router,
    tokens.router,
    subject.router,
    queueing.router,
)


def _probing(settings: Settings, limits: Limits) -> Sessions:
    """Sessions over a connection of their own, so that a health check never waits for one held by pages."""
    return make_sessions(open_database(settings, limits=replace(limits, pool_size=1, max_overflow=0)))


def create_app(
    settings: Settings,
    sessions: Sessions,
    *,
    reading: Sessions | None = None,
    probing: Sessions | None = None,
    versions: Versions | None = None,
    kept_bytes: int = 0,
) -> FastAPI:
    """The application over one database.

    ``reading`` are the sessions of pages, ``probing`` those of health checks; both default to ``sessions``.
    ``versions`` reads the version of the data that pages show, by default through the sessions of pages; ``kept_bytes``
    is the size of the cache of pages.
    """
    versions = versions or SessionVersions(reading or sessions)
    app = DocumentedApp(
        title="Neuron Audit",
        version=code_version(),
        description="Every page of the site as JSON, at the page's address with `.json` behind it.",
        openapi_url=None,  # a page of this site serves it, to everybody who may read pages
        docs_url=None,  # Swagger UI and ReDoc load scripts from other hosts, which the Content-Security-Policy forbids
        redoc_url=None,
        dependencies=[Depends(note_version), Depends(check_address), Depends(refuse_strangers)],
        max_body_size=MAX_BODY_BYTES,
        lifespan=_with_enough_threads,
        middleware=_middleware(settings, versions, kept_bytes),
    )
    app.state.settings = settings
    app.state.sessions = sessions
    app.state.reading = reading or sessions
    app.state.probing = probing or sessions
    app.state.versions = versions
    app.state.renderer = Renderer()
    app.state.vocabularies = Vocabularies()
    app.state.atlases = Atlases()
    app.state.openid = OpenIdProvider.of(settings)
    install_handlers(app, [route for router in ROUTERS for route in router.routes])
    app.mount("/static", VersionedFiles(), name="static")
    for router in ROUTERS:
        app.include_router(router)
    return app


def _middleware(settings: Settings, versions: Versions, kept_bytes: int) -> list[Middleware]:
    """The middleware of every request, outermost first."""
    unchanged = Middleware(
        Unchanged,
        versions=versions,
        session_cookies=(SESSION_COOKIE, HOST_PREFIX + SESSION_COOKIE),
        told_cookie=TOLD_COOKIE,
        site=_site(settings),
        most_bytes=kept_bytes,
    )
    return [
        Middleware(RequestLog),
        Middleware(SecurityHeaders, public_url=settings.public_url),
        Middleware(RequestsAtOnce, most=settings.requests_at_once),
        Middleware(KnownHosts, names=_own_names(settings)),
        Middleware(SameOrigin, public_url=settings.public_url),
        unchanged,
        Middleware(Compression),
    ]


@asynccontextmanager
async def _with_enough_threads(app: FastAPI) -> AsyncIterator[None]:
    """As many threads as requests may be served at once, so that none waits for one that the database blocks."""
    to_thread.current_default_thread_limiter().total_tokens = app.state.settings.requests_at_once
    yield
    await app.state.versions.close()


def _site(settings: Settings) -> bytes:
    """A digest of everything but the database on which pages depend: code, templates, static files, settings.

    It is the same for all servers of a site, whatever address each one binds.
    """
    templates = ((path.as_posix(), path.stat().st_mtime_ns) for path in sorted(TEMPLATES.rglob("*.html")))
    static = sorted((name, file.digest) for name, file in static_files().items())
    chosen = settings.model_dump_json(exclude={"host", "port"})
    return hashlib.blake2b(repr((code_version(), chosen, list(templates), static)).encode()).digest()


def serve(settings: Settings) -> None:
    """Run the web server until it is stopped. Raises what ``open_installation`` raises."""
    limits = Limits(
        pool_seconds=POOL_SECONDS,
        statement_seconds=settings.statement_seconds,
        lock_seconds=settings.statement_seconds,
        silent_seconds=SILENT_SECONDS,
    )
    engine = open_installation(settings, limits=limits)
    sessions = make_sessions(engine)
    say_how_to_log_in(sessions)
    # A page creates and drops thousands of objects: a collection every 700 would only visit live ones.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    try:
        uvicorn.run(
            create_app(
                settings,
                sessions,
                reading=make_reading_sessions(engine),
                probing=_probing(settings, limits),
                versions=ConnectionVersions(database_url(settings)),
                kept_bytes=MOST_BYTES,
            ),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
        )
    finally:
        engine.dispose()


def say_how_to_log_in(sessions: Sessions) -> None:
    """Log how to log in if no account exists yet. Such a site can be read, but not changed."""
    try:
        with transaction(sessions) as session:
            if not any_account(session):
                log.warning("nobody.can_log_in", add_an_account="neuron-audit user add NAME --role administrator")
    except OperationalError as error:
        log.warning("database.away", reason=str(error.orig).strip())


def _own_names(settings: Settings) -> list[str]:
    names = [] if is_address(settings.host) else [settings.host]
    if settings.public_url is not None:
        names.append(host_name(settings.public_url.partition("://")[2].partition("/")[0]))
    return names
