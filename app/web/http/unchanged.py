"""Unchanged pages: a browser that has one gets 304, and others get this server's cached copy.

A cached page (``page(..., is_kept=True)``) is made at a version of the database, see ``app.queries.common.versions``,
for a certain request. Its ETag contains both, and the end of its validity. While the version is the same, the same
request gives the same page. So only the version must be read for each request, and neither route nor template runs.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.http.security import ALWAYS_ANSWERED, PRIVATE
from app.web.http.versions import Versions
from app.web.http.visits import VISITS_COOKIE, Visit, remember_visit, visit_of

VERSION, UNTIL, IS_VISIT, IS_KEPT = "page_version", "page_until", "page_is_visit", "page_is_kept"
"""Keys of a request's state: the page's version, the end of its validity, whether it counts as a visit, whether it is
cached.
"""
MAY_KEEP = ("GET", "HEAD")
VARY = "Accept-Encoding, HX-Request, Cookie, Authorization"
SHAPING = ("host", "hx-request", "hx-request-type")
"""Headers on which a page depends, besides its viewer's cookie."""
_TAG = re.compile(r'W/"([pv])([0-9a-f]{1,12})-([0-9a-f]{32})"')
FOREVER = 0xFFFFFFFFFF
NEVER_KEPT = (b"embed=", b"meaning=")
"""Query fields of pages that are never cached: frames have their own policy, searched texts their own table."""
MOST_BYTES = 24_000_000
"""Bytes of cached pages, compressed: some thousand pages."""
LARGEST_BYTES = 400_000


KEPT_ENDPOINTS: set[Callable[..., Any]] = set()
"""The functions of pages that are cached."""


async def note_version(request: Request) -> None:
    """Read the version before all data of a cached page, its viewer included.

    Never raises: without a version the page is sent without an ETag.
    """
    is_left_out = any(field in request.scope["query_string"] for field in NEVER_KEPT)
    if is_left_out or request.scope["route"].endpoint not in KEPT_ENDPOINTS:
        return
    setattr(request.state, IS_KEPT, True)
    if not hasattr(request.state, VERSION):
        versions: Versions = request.app.state.versions
        setattr(request.state, VERSION, await versions.current())


def limit_validity(state: Any, until: float) -> None:
    """Record that a page is valid only until a time, in seconds since the epoch."""
    setattr(state, UNTIL, min(getattr(state, UNTIL, FOREVER), until))


def made_at(state: Any, version: int) -> None:
    """Record the version from which a page was made; if it differs from the request's, the page is not cached."""
    if getattr(state, VERSION, None) != version:
        limit_validity(state, 0)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request's key: equal requests at one version get equal pages."""

    key: bytes
    """A hash of everything but the database on which the page depends."""
    path: str
    cookies: Mapping[str, str]
    tags: str
    """The ETags of the client's copies."""
    is_get: bool

    def tag(self, version: int, until: int, *, is_visit: bool) -> str:
        """The page's ETag at a version."""
        digest = hashlib.blake2b(b"%s %d %d" % (self.key, version, until), digest_size=16).hexdigest()
        return f'W/"{"v" if is_visit else "p"}{until:x}-{digest}"'

    def has(self, tag: str) -> bool:
        """Whether the client has the response with this ETag."""
        return tag in (part.strip() for part in self.tags.split(","))

    def known(self, version: int, now: float) -> str | None:
        """The client's ETag that is valid at this version; None if there is none."""
        for found in _TAG.finditer(self.tags):
            until = int(found[2], 16)
            if until > now and found[0] == self.tag(version, until, is_visit=found[1] == "v"):
                return found[0]
        return None


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A response as sent."""

    version: int
    until: float
    is_visit: bool
    tag: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None
    """None if only the ETag is known, since the page was answered with 304."""

    @property
    def n_bytes(self) -> int:
        """The bytes that it takes of the cache."""
        return len(self.body or b"") + 500


class KeptPages:
    """The cache of responses, oldest removed first, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._pages: OrderedDict[bytes, KeptPage] = OrderedDict()

    def get(self, key: bytes) -> KeptPage | None:
        """The response to an equal request, of any version."""
        return self._pages.get(key)

    def keep(self, key: bytes, page: KeptPage) -> None:
        """Store a response, replacing an earlier one; the oldest responses are removed to make room."""
        if page.n_bytes > min(LARGEST_BYTES, self._most):
            return
        self.drop(key)
        self._pages[key] = page
        self._bytes += page.n_bytes
        while self._bytes > self._most:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= oldest.n_bytes

    def drop(self, key: bytes) -> None:
        """Remove a response."""
        old = self._pages.pop(key, None)
        self._bytes -= 0 if old is None else old.n_bytes


class Unchanged:
    """Replies 304, or with a cached response, if the requested page has not changed.

    ``session_cookies`` identify the viewer; ``told_cookie`` has a message that the next page shows once. ``site`` is a
    digest of everything else on which all pages depend: code, templates, settings.
    """

    def __init__(  # noqa: PLR0913 - what a page depends on
        self,
        app: ASGIApp,
        *,
        versions: Versions,
        session_cookies: tuple[str, ...],
        told_cookie: str,
        site: bytes,
        most_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app, self.versions, self.clock = app, versions, clock
        self._session_cookies, self._told, self._site = session_cookies, told_cookie, site
        self._kept = KeptPages(most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply from the cache, or pass the request on and cache the page."""
        asked = self._asked(scope)
        if asked is None:
            await self.app(scope, receive, send)
            return
        kept = self._kept.get(asked.key)
        if kept is not None or asked.tags:
            version = await self.versions.current()
            scope.setdefault("state", {})[VERSION] = version
            response = None if version is None else self._response(asked, kept, version)
            if response is not None:
                await response(scope, receive, send)
                return
        await _Noting(self._kept, asked, scope, send, self.clock()).run(self.app, receive)

    def _asked(self, scope: Scope) -> PageRequest | None:
        """The key of the page; None if the request is not for a page that can be cached."""
        if scope["type"] != "http" or scope["method"] not in MAY_KEEP or scope["path"].startswith(ALWAYS_ANSWERED):
            return None
        headers = Headers(scope=scope)
        if "authorization" in headers or any(field in scope["query_string"] for field in NEVER_KEPT):
            return None
        cookies = cookie_parser(headers.get("cookie", ""))
        if self._told in cookies:
            return None
        parts = [
            self._site,
            scope["scheme"].encode(),
            scope["path"].encode("utf-8", "surrogateescape"),
            scope["query_string"],
            *(headers.get(name, "").encode("utf-8", "surrogateescape") for name in SHAPING),
            *(cookies.get(name, "").encode("utf-8", "surrogateescape") for name in self._session_cookies),
            b"gzip" if "gzip" in headers.get("accept-encoding", "") else b"",
        ]
        key = hashlib.blake2b(b"".join(b"%d:%s" % (len(part), part) for part in parts), digest_size=16).digest()
        return PageRequest(key, scope["path"], cookies, headers.get("if-none-match", ""), scope["method"] == "GET")

    def _response(self, asked: PageRequest, kept: KeptPage | None, version: int) -> Response | None:
        tag = asked.known(version, self.clock())
        if tag is not None:
            return _not_modified(asked, tag, is_visit=tag[3] == "v")
        if kept is None:
            return None
        if kept.version != version or kept.until <= self.clock():
            self._kept.drop(asked.key)
            return None
        if asked.has(kept.tag):
            return _not_modified(asked, kept.tag, is_visit=kept.is_visit)
        if not asked.is_get or kept.body is None:
            return None
        response = Response(kept.body)
        response.raw_headers = list(kept.headers)
        _remember(response, asked, is_visit=kept.is_visit)
        return response


def _not_modified(asked: PageRequest, tag: str, *, is_visit: bool) -> Response:
    response = Response(status_code=304, headers={"ETag": tag, "Cache-Control": PRIVATE, "Vary": VARY})
    _remember(response, asked, is_visit=is_visit)
    return response


def _remember(response: Response, asked: PageRequest, *, is_visit: bool) -> None:
    """Remember the visit as the page itself would."""
    visit: Visit | None = visit_of(asked.path) if is_visit else None
    if visit is not None:
        remember_visit(response, asked.cookies.get(VISITS_COOKIE), visit)


class _Noting:
    """Adds the ETag to a page while it is sent, and caches it."""

    def __init__(self, kept: KeptPages, asked: PageRequest, scope: Scope, send: Send, now: float) -> None:
        self._kept, self._asked, self._scope, self._send, self._now = kept, asked, scope, send, now
        self._headers: tuple[tuple[bytes, bytes], ...] | None = None
        """The headers of a page to be cached, before other middleware adds its own."""

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        """Pass the request on."""
        await app(self._scope, receive, self._noted)

    @cached_property
    def _state(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self._scope.get("state", {})
        return state

    async def _noted(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 304 and self._is_versioned:
            self._keep(tuple(message["headers"]), None)
        elif message["type"] == "http.response.start" and message["status"] == 200 and self._is_versioned:
            headers = MutableHeaders(scope=message)
            if "etag" not in headers:  # a file has an ETag of its own
                headers["ETag"] = self._asked.tag(self._version, self._until, is_visit=self._is_visit)
            if self._asked.is_get:
                self._headers = tuple((name, value) for name, value in headers.raw if name != b"set-cookie")
        elif message["type"] == "http.response.body" and self._headers is not None and not message.get("more_body"):
            self._keep(self._headers, message.get("body", b""))
        elif message["type"] == "http.response.body":
            self._headers = None  # streamed
        await self._send(message)

    def _keep(self, headers: tuple[tuple[bytes, bytes], ...], body: bytes | None) -> None:
        tag = next((value.decode() for name, value in headers if name == b"etag"), None)
        if tag is None:
            return
        page = KeptPage(self._version, self._until, self._is_visit, tag, headers, body)
        self._kept.keep(self._asked.key, page)

    @property
    def _is_versioned(self) -> bool:
        return self._state.get(IS_KEPT, False) and self._state.get(VERSION) is not None and self._until > self._now

    @property
    def _version(self) -> int:
        return int(self._state[VERSION])

    @property
    def _until(self) -> int:
        return int(self._state.get(UNTIL, FOREVER))

    @property
    def _is_visit(self) -> bool:
        return bool(self._state.get(IS_VISIT, False))
