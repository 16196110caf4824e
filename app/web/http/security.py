"""Small pure-ASGI middleware between the network and the pages.

Requests may change something only if they come from this site's own pages (``SameOrigin``), under one of this site's
host names (``KnownHosts``). Pages may run only this site's own scripts (``HEADERS``).
"""

import ipaddress
import secrets
from collections.abc import Iterable
from time import perf_counter
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.stdlib.get_logger(__name__)

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
EMBEDDED_HEADERS = {"Cross-Origin-Resource-Policy": "cross-origin"}
"""Headers of a page that other sites may show in a frame, in addition to their names in its policy."""
EMBEDDERS = "embedders"
"""Key of the request's state under which a page stores the origins that may show it in a frame."""
HTTPS_ALONE = "max-age=31536000; includeSubDomains"
PRIVATE = "private, no-cache"
"""Cache-Control of a response that only the viewer's browser may store, and must revalidate each time."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ALWAYS_ANSWERED = ("/health", "/static/")
RETRY_AFTER = "5"
"""Seconds after which a refused request may be sent again."""
LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class SecurityHeaders:
    """Adds HEADERS to every response; one without its own Cache-Control is private to its viewer.

    If the public address has HTTPS, browsers are told to use only HTTPS for a year.
    """

    def __init__(self, app: ASGIApp, *, public_url: str | None = None) -> None:
        self.app = app
        is_https = public_url is not None and public_url.lower().startswith("https://")
        self.headers = {**HEADERS, **({"Strict-Transport-Security": HTTPS_ALONE} if is_https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the response with its headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                embedders = scope.get("state", {}).get(EMBEDDERS)
                if embedders:
                    policy = CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {embedders}")
                    headers.update({**EMBEDDED_HEADERS, "Content-Security-Policy": policy})
                if "cache-control" not in headers:
                    headers["Cache-Control"] = PRIVATE
                    headers.add_vary_header("Cookie, Authorization")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class SameOrigin:
    """Refuses changing requests that come from another site's page.

    Browsers send the source in Sec-Fetch-Site, older ones in Origin. Programs send neither, but a token instead of a
    cookie. A request with a cookie must have one of the two headers, since a browser adds the cookie even to requests
    that another site initiates.
    """

    def __init__(self, app: ASGIApp, *, public_url: str | None = None) -> None:
        self.app = app
        self.public_origin = origin_of(public_url) if public_url is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or answer 403."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and not self._is_own(scope):
            refusal = PlainTextResponse("This request came from another site and was refused.\n", status_code=403)
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        sent = headers.get("origin")
        if sent is None:
            return "cookie" not in headers
        # Browsers send "null" or a malformed origin for pages without one: these are not this site's pages.
        own = (self.public_origin, origin_of(f"{scope['scheme']}://{headers.get('host', '')}"))
        return (origin := origin_of(sent)) is not None and origin in own


class KnownHosts:
    """Refuses requests under a host name that is not this site's, against DNS rebinding.

    Allowed are the names of the loopback interface, the public address, and any IP address, since only names can be
    rebound.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str] = ()) -> None:
        self.app = app
        self.names = LOOPBACK_NAMES | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or answer 421."""
        if scope["type"] == "http":
            name = host_name(Headers(scope=scope).get("host", ""))
            if name not in self.names and not is_address(name):
                refusal = PlainTextResponse(
                    "This server does not answer under this name. Its operator can set NEURON_AUDIT_PUBLIC_URL.\n",
                    status_code=421,
                )
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


class RequestsAtOnce:
    """Answers 503 at once while the server handles its maximum number of requests.

    Health checks and static files are always served, since they need no resource that other requests hold.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self.app = app
        self.most = most
        self.at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or answer 503."""
        if scope["type"] != "http" or scope["path"].startswith(ALWAYS_ANSWERED):
            await self.app(scope, receive, send)
        elif self.at_work >= self.most:
            refusal = PlainTextResponse(
                "The server is busy. Try again in a moment.\n", status_code=503, headers={"Retry-After": RETRY_AFTER}
            )
            await refusal(scope, receive, send)
        else:
            self.at_work += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.at_work -= 1


class RequestLog:
    """Gives every request an id, logs it with its status and time, and returns id and time in headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; log it when the response is sent."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = secrets.token_hex(8)
        started = perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["Server-Timing"] = f"app;dur={(perf_counter() - started) * 1000:.1f}"
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            finally:
                milliseconds = round((perf_counter() - started) * 1000, 1)
                # The path alone: a query string may hold a login token.
                log.info("request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds)


def origin_of(url: str) -> str | None:
    """Scheme, host and port of a URL, as browsers write them in Origin; None for a malformed URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme and parts.netloc else None


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
