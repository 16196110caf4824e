"""A small OpenID provider on loopback: discovery, authorization with PKCE, ID tokens signed by RS256, keys.

It logs in at once whoever its test names, and can be told to make the mistakes that a client must notice.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID = "neuron-audit"
CLIENT_SECRET = "the secret of the client"


@dataclass
class OidcProvider:
    """The state of one provider, which tests change and read."""

    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "1234"})
    """Claims about whoever logs in."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that replace the right ones; None leaves one out."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Replaces fields of the discovery document."""
    refuses_with: str | None = None
    """The error with which the browser comes back instead of a code."""
    ends_sessions: bool = True
    is_down: bool = False
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}, private=True))
    signs_with: RSAKey | None = None
    """Another key than the one that is published."""
    published: Any = None
    """Instead of its keys."""
    forges_with: bytes | None = None
    """Signs by HS256 with what others know, or with nothing."""
    grants: dict[str, dict[str, str]] = field(default_factory=dict)
    """What each unused code was given for."""
    paths: list[str] = field(default_factory=list)
    """Of the requests so far."""

    def rotate_key(self) -> None:
        """Publish and use a new key in place of the old one."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)}, private=True)

    def discovery(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
        }
        if self.ends_sessions:
            document["end_session_endpoint"] = f"{self.issuer}/end"
        return document | self.metadata

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        if self.refuses_with is not None:
            return f"{asked['redirect_uri']}?{urlencode({'error': self.refuses_with, 'state': asked['state']})}"
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.grants[code] = asked
        # Providers append fields of their own.
        back = {"code": code, "state": asked["state"], "session_state": "abc", "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def token(self, sent: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Status and body: a code works once, for the client that has its verifier."""
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET.replace(' ', '+')}".encode()).decode()
        plain = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if authorization not in (f"Basic {expected}", f"Basic {plain}"):
            return 401, {"error": "invalid_client"}
        asked = self.grants.pop(sent.get("code", ""), None)
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or sent["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "The code does not work."}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self._id_token(asked["nonce"])}

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
        claims = {name: value for name, value in {**right, **self.person, **self.claims}.items() if value is not None}
        header = {"alg": "RS256", "kid": str(self.key.kid)}
        if self.forges_with is None:
            return jwt.encode(header, claims, self.signs_with or self.key)
        signed = f"{_encoded(header | {'alg': 'HS256' if self.forges_with else 'none'})}.{_encoded(claims)}"
        seal = hmac.new(self.forges_with, signed.encode(), "sha256").digest() if self.forges_with else b""
        return f"{signed}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"

    def document(self, path: str) -> tuple[int, Any]:
        """Status and body of what anybody may read."""
        if self.is_down:
            return 503, {}
        if path == "/.well-known/openid-configuration":
            return 200, self.discovery()
        if path == "/keys":
            return 200, dict(KeySet([self.key]).as_dict(private=False)) if self.published is None else self.published
        return (200, {"ended": True}) if path == "/end" else (404, {})


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """A provider that listens on loopback until the end."""
    provider = OidcProvider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(provider))
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler_of(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            provider.paths.append(asked.path)
            if asked.path == "/authorize":
                self._send(302, b"", Location=provider.authorize(_fields(asked.query)))
            else:
                self._send_json(*provider.document(asked.path))

        def do_POST(self) -> None:
            provider.paths.append(self.path)
            sent = _fields(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._send_json(*provider.token(sent, self.headers.get("Authorization", "")))

        def _send_json(self, status: int, body: Any) -> None:
            self._send(status, json.dumps(body).encode(), **{"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """No line for each request."""

    return Handler


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _fields(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
