"""Static files, kept in memory, under URLs that contain a digest of the content, so that browsers may cache them.

They are served on the event loop, since threads may be blocked by a slow database.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app.home import files
from app.web.http.conditional import has_it

STATIC = files("static")
KEPT = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
METHODS = ("GET", "HEAD")
COMPRESSED = ("text/", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    content: bytes
    compressed: bytes | None
    media_type: str
    digest: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Every static file by its path below the folder."""
    return {path.relative_to(STATIC).as_posix(): _read(path) for path in sorted(STATIC.rglob("*")) if path.is_file()}


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    compressed = gzip.compress(content, mtime=0) if media_type.startswith(COMPRESSED) else None
    return StaticFile(content, compressed, media_type, hashlib.sha256(content).hexdigest()[:12])


def digest(name: str) -> str:
    """The first letters of a static file's digest. Raises KeyError if there is no such file."""
    return static_files()[name].digest


def static_url(name: str) -> str:
    """The URL of a static file. Raises KeyError for an unknown one."""
    return f"/static/{name}?v={digest(name)}"


class VersionedFiles:
    """Static files as an ASGI application; browsers cache for a year those requested with the right digest."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file, 304, 404 or 405."""
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in METHODS:
            return PlainTextResponse("Method Not Allowed", 405, {"Allow": ", ".join(METHODS)})
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        file = static_files().get(name)
        if file is None:
            raise HTTPException(404)
        is_right = scope["query_string"] == f"v={file.digest}".encode()
        tag = f'"{file.digest}"'
        headers = {"Cache-Control": KEPT if is_right else REVALIDATED, "ETag": tag, "Vary": "Accept-Encoding"}
        request_headers = Headers(scope=scope)
        if has_it(request_headers, tag):
            return Response(status_code=304, headers=headers)
        content = file.content
        if file.compressed is not None and "gzip" in request_headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = file.compressed, "gzip"
        return Response(content, media_type=file.media_type, headers=headers)
