"""Conditional responses: sent with an ETag, or answered 304 if the client already has them."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from app.web.http.security import PRIVATE


def has_it(headers: Headers, tag: str) -> bool:
    """Whether the client already has the response with this ETag (RFC 9110, 13.1.2: weak comparison)."""
    sent = headers.get("if-none-match")
    if sent is None:
        return False
    return sent.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in sent.split(","))


def file_response(
    request: Request, content: bytes, compressed: bytes | None, digest: str, *, media_type: str
) -> Response:
    """Bytes, in their compressed form if accepted, or 304. A browser caches them and revalidates each time."""
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": PRIVATE, "Vary": "Accept-Encoding, Cookie, Authorization"}
    if has_it(request.headers, tag):
        return Response(status_code=304, headers=headers)
    if compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(compressed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(content, media_type=media_type, headers=headers)
