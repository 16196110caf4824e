"""The addresses of an endpoint's host. Only public and allowed ones are ever connected to."""

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import httpx2

from app.domain.addresses import Network, base_url_of, network_of
from app.errors import ProviderError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL and the addresses of its host that may be connected to, in the resolver's order."""

    base_url: str
    host: str
    addresses: tuple[str, ...]
    allowed_networks: tuple[str, ...] = ()

    def located_again(self) -> "Endpoint":
        """The endpoint with the addresses that its host has now. Raises ProviderError."""
        return locate(self.base_url, self.allowed_networks)


def locate(base_url: str, allowed_networks: Sequence[str] = ()) -> Endpoint:
    """The endpoint of a base URL.

    Raises a permanent ProviderError for an unusable URL or network and if every address of the host is refused; a
    temporary one if the host's name cannot be resolved now.
    """
    try:
        url = httpx2.URL(base_url_of(base_url))
        networks = [ipaddress.ip_network(network_of(n)) for n in allowed_networks]
    except (ValueError, httpx2.InvalidURL) as error:
        raise ProviderError(str(error), permanent=True) from error
    port = url.port or (443 if url.scheme == "https" else 80)
    found = _resolved(url.host, port)
    allowed = [address for address in found if _is_allowed(address, networks)]
    if not allowed:
        raise _refusal(url.host, found)
    return Endpoint(str(url), url.host, tuple(allowed), tuple(map(str, networks)))


def _resolved(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ProviderError(f"The name {host!r} cannot be resolved: {error}.", permanent=False) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_allowed(address: str, networks: Iterable[Network]) -> bool:
    ip = _ip(address)
    if any(ip.version == n.version and ip in n for n in networks):
        return True
    return all(one.is_global and not one.is_multicast for one in (ip, *_embedded(ip)))


def _ip(address: str) -> Address:
    """The address without its zone; an IPv4 address in IPv6 notation as IPv4."""
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


def _embedded(ip: Address) -> Iterator[Address]:
    """IPv4 addresses to which a gateway would forward packets for ``ip``."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return
    if ip in _NAT64:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield ip.teredo[1]


def _refusal(host: str, addresses: Sequence[str]) -> ProviderError:
    options = " ".join(f"--allow {ip}/{ip.max_prefixlen}" for ip in map(_ip, addresses))
    shown = " and ".join(str(_ip(a)) for a in addresses)
    return ProviderError(
        f"{host!r} resolves to {shown}, which is not a public address. "
        f"If that is meant, allow it: neuron-audit provider add {options}",
        permanent=True,
    )
