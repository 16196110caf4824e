"""Static files under addresses that change with their content, so that browsers may keep them."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).resolve().parents[3] / "static"


@cache
def digest(name: str) -> str:
    """The first letters of a static file's digest."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """The address of a static file. Raises FileNotFoundError where there is none."""
    return f"/static/{name}?v={digest(name)}"


class VersionedFiles(StaticFiles):
    """Static files; those asked for with a version are kept for a year."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, told how long it may be kept."""
        response = await super().get_response(path, scope)
        is_versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_versioned else "no-cache"
        return response
