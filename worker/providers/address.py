"""Where an endpoint is: its name is resolved once, and nothing but that address is ever asked.

Private, loopback, link-local and other special ranges are refused unless the provider lists them.
"""

import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import httpx2

from app.errors import ProviderError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_REPLY_BYTES = 32 * 2**20

HEADERS_SENT = frozenset(
    {"host", "connection", "accept", "accept-encoding", "authorization", "content-type", "content-length", "user-agent"}
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL and the one address that its host stood for."""

    base_url: str
    host: str
    address: str


def locate(base_url: str, allowed_networks: Sequence[str] = ()) -> Endpoint:
    """The endpoint of a base URL. Raises a permanent ProviderError for a bad URL or a refused address."""
    url = httpx2.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise ProviderError(f"{base_url!r} is not an http(s) address without a password.", permanent=True)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ProviderError(f"The name {url.host!r} cannot be resolved: {error}.", permanent=False) from error
    networks = [ipaddress.ip_network(n) for n in allowed_networks]
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        _refuse_private(url.host, address, networks)
    return Endpoint(base_url, url.host, addresses[0])


def _refuse_private(host: str, address: str, networks: Iterable[Network]) -> None:
    ip = ipaddress.ip_address(address.split("%")[0])
    if ip.is_global and not ip.is_multicast:
        return
    if not any(ip.version == n.version and ip in n for n in networks):
        raise ProviderError(
            f"{host!r} stands for {ip}, which is not a public address. "
            f"If that is meant, allow it: neuron-audit provider add --allow {ip}/{ip.max_prefixlen}",
            permanent=True,
        )


class ReplyTooLarge(httpx2.RequestError):
    """The reply has more bytes than any answer needs."""


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Sends every request to the endpoint's one address, whatever its name stands for by now.

    Headers that the client's library takes from the environment are meant for another endpoint: they stay here.
    """

    def __init__(self, endpoint: Endpoint, inner: httpx2.AsyncBaseTransport) -> None:
        self._endpoint, self._inner = endpoint, inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises ProviderError for another host; the body raises ReplyTooLarge beyond its bound."""
        if request.url.host != self._endpoint.host:
            raise ProviderError(f"{request.url.host!r} is not the provider's host.", permanent=True)
        request.url = request.url.copy_with(host=self._endpoint.address)
        for name in set(request.headers) - HEADERS_SENT:
            del request.headers[name]
        request.extensions = {**request.extensions, "sni_hostname": self._endpoint.host}
        response = await self._inner.handle_async_request(request)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, request)
        return response

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
                raise ReplyTooLarge(f"The reply has more than {LONGEST_REPLY_BYTES} bytes.", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def http_client(endpoint: Endpoint, *, timeout_seconds: float, connections: int) -> httpx2.AsyncClient:
    """A client for this endpoint alone: no redirects, no proxies, no compression, bounded in time."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx2.AsyncClient(
        transport=PinnedTransport(endpoint, httpx2.AsyncHTTPTransport(limits=limits, trust_env=False)),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
        follow_redirects=False,
        trust_env=False,
        headers={"accept-encoding": "identity"},
    )
