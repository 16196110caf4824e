"""HTTP to one endpoint: its own addresses, no redirects, no proxies, no compression, replies of bounded size."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable

import httpx2

from app.errors import ProviderError
from worker.providers.address import Endpoint

LONGEST_REPLY_BYTES = 32 * 2**20
CONNECT_SECONDS = 10.0


class ReplyTooLarge(httpx2.RequestError):
    """The reply has more bytes than any answer needs."""


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Connects to the endpoint's addresses only, the last working one first, whatever its name resolves to by now.

    Where none of them can be connected to, the name is resolved once more under the same rules: the
    endpoint may have moved.
    """

    def __init__(self, endpoint: Endpoint, inner: httpx2.AsyncBaseTransport) -> None:
        self._endpoint, self._inner = endpoint, inner
        self._addresses = endpoint.addresses

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises ProviderError for another host, ``httpx2.ConnectError`` where no address can be connected to.

        The body raises ReplyTooLarge beyond its bound.
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
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, request)
        return response

    async def _first_of(self, addresses: Iterable[str], request: httpx2.Request) -> httpx2.Response:
        """The response of the first of one or more addresses that can be connected to."""
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
        """The request with the address in place of the host, which TLS and the Host header still name.

        Cookies that an earlier reply has set stay away: no request depends on another.
        """
        headers = request.headers.copy()
        headers.pop("cookie", None)
        return httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": self._endpoint.host},
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, request: httpx2.Request) -> None:
        self._inner, self._request = inner, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > LONGEST_REPLY_BYTES:
                raise ReplyTooLarge(f"the reply has more than {LONGEST_REPLY_BYTES} bytes", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def http_client(endpoint: Endpoint, *, key: str, timeout_seconds: float, connections: int) -> httpx2.AsyncClient:
    """A client for this endpoint alone. ``timeout_seconds`` bounds each read and write, not the whole."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    inner = httpx2.AsyncHTTPTransport(verify=trusted_authorities(), limits=limits, trust_env=False)
    return httpx2.AsyncClient(
        transport=PinnedTransport(endpoint, inner),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        follow_redirects=False,
        trust_env=False,
        headers={
            "accept": "application/json",
            "accept-encoding": "identity",
            # Servers that want no key ignore it; some refuse a request that has none.
            "authorization": f"Bearer {key or 'none'}",
            "user-agent": "neuron-audit",
        },
    )


def trusted_authorities() -> ssl.SSLContext:
    """The system's certificate authorities, or those that ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` name.

    Raises a permanent ProviderError where these name nothing that can be read.
    """
    try:
        return httpx2.create_ssl_context(trust_env=True)
    except OSError as error:  # ssl.SSLError is one
        raise ProviderError(
            f"The certificate authorities that SSL_CERT_FILE or SSL_CERT_DIR name cannot be read: {error}.",
            permanent=True,
        ) from error
