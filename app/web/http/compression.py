"""Compressed responses, in a fifth of the processor time that zlib takes for the same size."""

import zlib

from isal import isal_zlib
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware, GZipResponder
from starlette.types import ASGIApp, Receive, Scope, Send

LEVEL = 2
"""Compression level, 0 to 3: the last one takes three times as long and saves 3% of a page."""
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's code for gzip headers and trailers


class Compression(GZipMiddleware):
    """Starlette's gzip with ISA-L's compressor.

    Even the largest page takes a fraction of a millisecond, less than handing it to a thread.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, minimum_size=500, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compress the response if the client accepts it."""
        if scope["type"] == "http" and "gzip" in Headers(scope=scope).get("Accept-Encoding", ""):
            await _Responder(self.app, self.minimum_size, self.compresslevel)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class _Responder(GZipResponder):
    _fast: "isal_zlib.Compress | None" = None

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        if self._fast is None:
            self._fast = isal_zlib.compressobj(self.compresslevel, isal_zlib.DEFLATED, _GZIP_WINDOW)
        end = isal_zlib.Z_SYNC_FLUSH if more_body else isal_zlib.Z_FINISH
        return self._fast.compress(body) + self._fast.flush(end)
