"""HTTP to one endpoint: its own addresses, no redirects, no proxies, no compression, replies of bounded size."""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace

import httpx2

from app.errors import ProviderError
from worker.providers.address import Endpoint

LONGEST_REPLY_BYTES = 32 * 2**20
CONNECT_SECONDS = 10.0
RECEIVED = "neuron_audit.received"
"""Key of the reply in a response's ``extensions``, see ``PinnedTransport``."""
_SENT_HEADERS = frozenset({"accept", "accept-encoding", "authorization", "content-type", "user-agent"})


class ReplyTooLarge(httpx2.RequestError):
    """The reply has more bytes than any answer needs."""


@dataclass(frozen=True, slots=True)
class Received:
    """A reply as received. ``body`` is None if it is compressed: it could unpack to any size, and is not read."""

    status: int
    headers: httpx2.Headers
    body: bytes | None

    @property
    def encoding(self) -> str:
        """The body's compression in lower case, ``identity`` for none."""
        return self.headers.get("content-encoding", "identity").lower()


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Connects only to the endpoint's checked addresses, the last working one first.

    The name is not resolved for each request. If no address can be connected to, the name is resolved and checked once
    more, since the endpoint may have moved.

    A response's body is empty, and the reply is a ``Received`` in its extensions, for ``reading`` only. Otherwise the
    client library would decode, unpack and parse whatever a hostile server sends.
    """

    def __init__(self, endpoint: Endpoint, inner: httpx2.AsyncBaseTransport) -> None:
        self._endpoint, self._inner = endpoint, inner
        self._addresses = endpoint.addresses

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises ProviderError for another host, ``httpx2.ConnectError`` if no address can be connected to.

        Raises ReplyTooLarge for a body beyond its limit.
        """
        if request.url.host != self._endpoint.host:
            raise ProviderError(f"{request.url.host!r} is not the provider's host.", permanent=True)
        tried = self._addresses
        try:
            response = await self._first_of(tried, request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            moved = (await asyncio.to_thread(self._endpoint.located_again)).addresses
            fresh = [address for address in moved if address not in tried]
            if not fresh:
                raise
            response = await self._first_of(fresh, request)
        try:
            received = await _received(response, request)
        finally:
            await response.aclose()
        return httpx2.Response(response.status_code, extensions={**response.extensions, RECEIVED: received})

    async def _first_of(self, addresses: Iterable[str], request: httpx2.Request) -> httpx2.Response:
        """The response of the first address that can be connected to."""
        failure: Exception | None = None
        for address in addresses:
            try:
                response = await self._inner.handle_async_request(self._to(address, request))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = failure or error
                continue
            self._addresses = (address, *(a for a in self._addresses if a != address))
            return response
        raise failure or httpx2.ConnectError("the host has no address", request=request)

    def _to(self, address: str, request: httpx2.Request) -> httpx2.Request:
        """The request to the address instead of the host, which TLS and the Host header still name.

        Only known headers are sent: no cookies of earlier replies, since requests are independent, and nothing that a
        library adds about this machine or reads from the environment. The length is recomputed.
        """
        headers = [(name, value) for name, value in request.headers.multi_items() if name.lower() in _SENT_HEADERS]
        return httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=[("Host", request.url.netloc.decode("ascii")), *headers],
            content=request.content,
            extensions={**request.extensions, "sni_hostname": self._endpoint.host},
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _received(response: httpx2.Response, request: httpx2.Request) -> Received:
    """The reply as received, its body of limited size."""
    received = Received(response.status_code, response.headers, None)
    if received.encoding != "identity":
        return received
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LONGEST_REPLY_BYTES:
            raise ReplyTooLarge(f"the reply has more than {LONGEST_REPLY_BYTES} bytes", request=request)
    return replace(received, body=bytes(body))


def http_client(endpoint: Endpoint, *, timeout_seconds: float, connections: int) -> httpx2.AsyncClient:
    """A client for this endpoint only. ``timeout_seconds`` limits each read and write, not the whole call."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    inner = httpx2.AsyncHTTPTransport(verify=trusted_authorities(), limits=limits, trust_env=False)
    return httpx2.AsyncClient(
        transport=PinnedTransport(endpoint, inner),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        follow_redirects=False,
        trust_env=False,
    )


def trusted_authorities() -> ssl.SSLContext:
    """The system's certificate authorities, or those that ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` name.

    Raises a permanent ProviderError if these files cannot be read.
    """
    try:
        return httpx2.create_ssl_context(trust_env=True)
    except OSError as error:  # ssl.SSLError is one
        raise ProviderError(
            f"The certificate authorities that SSL_CERT_FILE or SSL_CERT_DIR name cannot be read: {error}.",
            permanent=True,
        ) from error
