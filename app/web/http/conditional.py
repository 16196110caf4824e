"""Responses that a client may have already: they are sent with a tag, and 304 says that nothing has changed."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from app.web.http.security import PRIVATE


def has_it(headers: Headers, tag: str) -> bool:
    """Whether a request says that its sender has the response with this tag (RFC 9110, 13.1.2: weak comparison)."""
    sent = headers.get("if-none-match")
    if sent is None:
        return False
    return sent.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in sent.split(","))


def file_response(
    request: Request, content: bytes, compressed: bytes | None, digest: str, *, media_type: str
) -> Response:
    """Bytes, compressed where they are kept so, or 304. A viewer's browser keeps them and asks each time."""
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": PRIVATE, "Vary": "Accept-Encoding, Cookie, Authorization"}
    if has_it(request.headers, tag):
        return Response(status_code=304, headers=headers)
    if compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(compressed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(content, media_type=media_type, headers=headers)
