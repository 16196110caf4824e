"""Which addresses of an endpoint's host are connected to, and whose certificates are trusted."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.domain.language_models import Outcome
from app.errors import ProviderError
from tests.llm_server import Fail, LlmServer
from tests.worker.endpoint import LOOPBACK, Leap, asks, settings_of
from worker.providers.address import locate
from worker.providers.openai_compatible import OpenAICompatible
from worker.providers.transport import trusted_authorities

BOTH = (*LOOPBACK, "::1/128")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> "Resolver":
    return Resolver(monkeypatch)


class Resolver:
    """Names resolve to the addresses that a test gives them; each look-up takes the next list, then the last again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers: dict[str, list[Sequence[str]]] = {}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._found)

    def let(self, name: str, *answers: Sequence[str]) -> None:
        self._answers[name] = list(answers)

    def _found(self, host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        answers = self._answers.get(host)
        if not answers:
            return self._real(host, port, *arguments, **named)
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        if not addresses:
            raise socket.gaierror("unknown name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_every_address_of_a_name_is_tried(server: LlmServer, resolver: Resolver) -> None:
    resolver.let("localhost", ["::1", "127.0.0.1"])
    provider = OpenAICompatible(settings_of(server, base_url=server.url_at("localhost"), allowed_networks=BOTH))
    assert [r.outcome for r in provider.chat([asks(), asks()])] == [Outcome.OK, Outcome.OK]
    provider.close()
    assert server.n_requests == 2
    assert server.headers[0]["host"] == f"localhost:{server.port}"


def test_of_a_names_addresses_the_allowed_ones_are_taken(server: LlmServer, resolver: Resolver) -> None:
    resolver.let("localhost", ["::1", "127.0.0.1"])
    provider = OpenAICompatible(settings_of(server, base_url=server.url_at("localhost")))
    assert provider.chat([asks()])[0].outcome is Outcome.OK
    provider.close()


def test_a_name_none_of_whose_addresses_is_allowed_is_refused_with_what_would_allow_it(resolver: Resolver) -> None:
    resolver.let("inside", ["::1", "10.1.2.3"])
    with pytest.raises(ProviderError, match=r"::1 and 10\.1\.2\.3.*--allow ::1/128 --allow 10\.1\.2\.3/32") as refused:
        locate("http://inside/v1", LOOPBACK)
    assert refused.value.permanent


def test_an_endpoint_that_has_moved_is_found_again(server: LlmServer, resolver: Resolver) -> None:
    resolver.let("moves", ["127.0.0.2"], ["127.0.0.1"])
    provider = OpenAICompatible(settings_of(server, base_url=server.url_at("moves")))
    assert provider.chat([asks()])[0].outcome is Outcome.OK
    provider.close()


def test_a_name_that_later_resolves_to_a_private_address_is_not_followed(
    server: LlmServer, resolver: Resolver, leap: Leap
) -> None:
    resolver.let("rebinds", ["127.0.0.2"], ["127.0.0.1"])
    only = settings_of(server, base_url=server.url_at("rebinds"), allowed_networks=("127.0.0.2/32",))
    provider = OpenAICompatible(only, leap.clock)
    with pytest.raises(ProviderError, match="not a public address") as refused:
        provider.chat([asks()])
    provider.close()
    assert refused.value.permanent
    assert server.n_requests == 0


def test_a_name_that_is_unknown_for_a_while_is_an_outage(server: LlmServer, resolver: Resolver, leap: Leap) -> None:
    resolver.let("fades", ["127.0.0.2"], [])
    provider = OpenAICompatible(settings_of(server, base_url=server.url_at("fades")), leap.clock)
    with pytest.raises(ProviderError, match="cannot be resolved") as caught:
        provider.chat([asks()])
    provider.close()
    assert not caught.value.permanent


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "::1", "::", "fe80::1%eth0",
        "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused_in_every_notation(address: str, resolver: Resolver) -> None:
    resolver.let("odd", [address])
    with pytest.raises(ProviderError, match="not a public address"):
        locate("http://odd/v1")


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses_need_no_permission(address: str, resolver: Resolver) -> None:
    resolver.let("public", [address])
    assert locate("https://public/v1").addresses == (address,)


def test_an_address_in_ipv6_notation_is_allowed_as_what_it_is(resolver: Resolver) -> None:
    resolver.let("mapped", ["::ffff:127.0.0.1"])
    assert locate("http://mapped/v1", LOOPBACK).addresses == ("::ffff:127.0.0.1",)


@pytest.mark.parametrize(
    ("base_url", "networks"),
    [
        ("http://127.0.0.1:port/v1", ()),
        ("http://user:secret@127.0.0.1/v1", LOOPBACK),
        ("ftp://127.0.0.1/", LOOPBACK),
        ("", LOOPBACK),
        ("http://127.0.0.1/v1", ("localhost",)),
    ],
)
def test_a_stored_address_that_cannot_be_used_is_a_permanent_error(base_url: str, networks: tuple[str, ...]) -> None:
    with pytest.raises(ProviderError) as caught:
        locate(base_url, networks)
    assert caught.value.permanent
    assert "secret" not in caught.value.message


def test_a_network_named_by_an_address_in_it_is_understood(server: LlmServer) -> None:
    provider = OpenAICompatible(settings_of(server, allowed_networks=("127.0.0.1/8",)))
    assert provider.chat([asks()])[0].outcome is Outcome.OK
    provider.close()


def test_a_query_in_the_base_url_stays_at_the_end(server: LlmServer) -> None:
    provider = OpenAICompatible(settings_of(server, base_url=f"{server.url}/?api-version=2024-10-21"))
    provider.chat([asks()])
    provider.close()
    assert server.paths == ["/v1/chat/completions?api-version=2024-10-21"]


def test_a_redirect_to_a_private_address_is_not_followed(server: LlmServer, provider: OpenAICompatible) -> None:
    with LlmServer() as other:
        server.brain = lambda _body: Fail(302, headers={"location": f"{other.url}/chat/completions"})
        with pytest.raises(ProviderError, match="redirect"):
            provider.chat([asks()])
        assert other.n_requests == 0


@dataclass(frozen=True)
class Authority:
    """A private certificate authority, and two servers' sides of TLS with certificates of it."""

    file: Path
    valid: ssl.SSLContext
    expired: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("private authority", key, "private authority", key, is_authority=True)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    contexts = []
    for ends in (timedelta(days=1), timedelta(hours=-1)):
        own_key = ec.generate_private_key(ec.SECP256R1())
        own = _certificate("localhost", own_key, "private authority", key, is_authority=False, ends=ends)
        private = own_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "server.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        contexts.append(context)
    return Authority(folder / "ca.pem", *contexts)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
    ends: timedelta = timedelta(days=1),
) -> x509.Certificate:
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())
    )


@pytest.fixture
def secure(authority: Authority) -> Iterator[LlmServer]:
    with LlmServer(tls=authority.valid) as running:
        yield running


def test_a_private_authority_that_the_environment_names_is_trusted(
    secure: LlmServer, authority: Authority, monkeypatch: pytest.MonkeyPatch, resolver: Resolver
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    resolver.let("localhost", ["::1", "127.0.0.1"])
    for host in ("127.0.0.1", "localhost"):
        provider = OpenAICompatible(settings_of(secure, base_url=secure.url_at(host), allowed_networks=BOTH))
        assert provider.chat([asks()])[0].outcome is Outcome.OK
        provider.close()


def test_another_authority_is_a_permanent_error_that_says_what_to_do(secure: LlmServer, leap: Leap) -> None:
    provider = OpenAICompatible(settings_of(secure), leap.clock)
    with pytest.raises(ProviderError, match=r"certificate is not trusted.*SSL_CERT_FILE") as caught:
        provider.chat([asks()])
    provider.close()
    assert (caught.value.permanent, leap.waits) == (True, [])


def test_a_certificate_of_another_name_is_not_trusted(
    secure: LlmServer, authority: Authority, monkeypatch: pytest.MonkeyPatch, resolver: Resolver
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    resolver.let("elsewhere", ["127.0.0.1"])
    provider = OpenAICompatible(settings_of(secure, base_url=secure.url_at("elsewhere")))
    with pytest.raises(ProviderError, match=r"not trusted.*mismatch.*'elsewhere'\. The base URL needs a host"):
        provider.chat([asks()])
    provider.close()


def test_an_expired_certificate_is_said_to_have_expired(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, leap: Leap
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with LlmServer(tls=authority.expired) as server:
        provider = OpenAICompatible(settings_of(server), leap.clock)
        with pytest.raises(ProviderError, match=r"has expired\. Its owner has to renew it") as caught:
            provider.chat([asks()])
        provider.close()
    assert (caught.value.permanent, leap.waits) == (True, [])


class AnswersInPlainText(socketserver.BaseRequestHandler):
    """What a web server without TLS says to the first bytes of a handshake."""

    def handle(self) -> None:
        self.request.recv(1)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A port of a server that speaks no TLS."""
    with socketserver.TCPServer(("127.0.0.1", 0), AnswersInPlainText) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_tls_at_a_port_without_it_is_a_permanent_error_that_says_so(
    plain_port: int, server: LlmServer, leap: Leap
) -> None:
    provider = OpenAICompatible(settings_of(server, base_url=f"https://127.0.0.1:{plain_port}/v1"), leap.clock)
    with pytest.raises(ProviderError, match=r"does not use TLS at this port.*http://") as caught:
        provider.chat([asks()])
    provider.close()
    assert (caught.value.permanent, leap.waits) == (True, [])


def test_plain_http_at_a_tls_port_is_an_outage_in_words(secure: LlmServer, leap: Leap) -> None:
    plain = secure.url.replace("https:", "http:")
    provider = OpenAICompatible(settings_of(secure, base_url=plain), leap.clock)
    with pytest.raises(ProviderError, match=r"the connection failed: .+") as caught:
        provider.chat([asks()])
    provider.close()
    assert not caught.value.permanent


def test_a_file_of_authorities_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("missing.pem", "empty.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        with pytest.raises(ProviderError, match="SSL_CERT_FILE") as caught:
            trusted_authorities()
        assert caught.value.permanent
