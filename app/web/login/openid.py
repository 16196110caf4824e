"""The client of an OpenID provider: authorization code with PKCE, by authlib.

It handles HTTP and the protocol only; ``app.queries.people.openid`` decides to which account an identity belongs.
"""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OAuthError, OpenIDMixin
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.errors import JoseError

from app.errors import DomainError, Forbidden
from app.queries.people.openid import Identity
from app.redaction import keep_secret
from app.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CALLBACK = "/login/openid/callback"
SCOPE = "openid email profile"
TIMEOUT_SECONDS = 10.0
LEEWAY_SECONDS = 30
"""Seconds by which clocks may differ at most."""
METADATA_SECONDS = 3600
"""Seconds after which the discovery document is read again."""
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
"""Accepted signature algorithms: those with a private key. Others use a secret that this client has too, or none."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint")
REQUIRED = ENDPOINTS[:3]
UNUSABLE = (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError)
"""Errors that authlib raises if the provider is unreachable or its documents are malformed."""


class OpenIdUnavailable(DomainError):
    """The OpenID provider cannot be used right now. Try again in a moment, or log in another way."""

    status = 502


class OpenIdRefused(Forbidden):
    """The OpenID provider's response was refused. Start the login again."""


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """The URL to which the browser is sent, and the secrets against which its return is checked."""

    address: str
    state: str
    nonce: str
    code_verifier: str


class _Client(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]  # authlib ships no types
    """authlib's client, restricted to the checked parts of the discovery document."""

    client_cls = OAuth2Client

    def __init__(self, issuer: str, **options: Any) -> None:
        super().__init__(None, **options)
        self.issuer = issuer
        self.server_metadata: dict[str, Any] = {}

    def load_server_metadata(self) -> dict[str, Any]:
        """The provider's discovery document, read again once an hour. Raises OpenIdUnavailable."""
        if time.time() - self.server_metadata.get("_loaded_at", 0) > METADATA_SECONDS:
            with self._get_session() as session:
                response = session.request("GET", _discovery(self.issuer), withhold_token=True)
                response.raise_for_status()
                # a single assignment, so that other threads see either the old or the new document
                self.server_metadata = _checked(response.json(), self.issuer) | {"_loaded_at": time.time()}
        return self.server_metadata


class OpenIdProvider:
    """The OpenID provider that the settings name. Any thread may use it."""

    def __init__(self, settings: Settings, *, issuer: str) -> None:
        self.issuer = issuer
        self.host = urlsplit(issuer).netloc
        self._client_id = settings.openid_client_id
        self._redirect = settings.origin + CALLBACK
        self._acr_values = settings.openid_acr.split()
        self._client = _Client(
            issuer,
            name="openid",
            client_id=settings.openid_client_id,
            client_secret=_secret(settings),
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", "timeout": TIMEOUT_SECONDS},
        )

    @classmethod
    def of(cls, settings: Settings) -> "OpenIdProvider | None":
        """The OpenID provider of the settings; None if they name none."""
        return None if settings.openid_issuer is None else cls(settings, issuer=settings.openid_issuer)

    def begin(self) -> BegunLogin:
        """Begin a login with new secrets. Raises OpenIdUnavailable."""
        try:
            strength = {"acr_values": " ".join(self._acr_values)} if self._acr_values else {}
            begun = self._client.create_authorization_url(self._redirect, **strength)
        except UNUSABLE as error:
            raise self._unavailable(error) from error
        return BegunLogin(begun["url"], begun["state"], begun["nonce"], begun["code_verifier"])

    def identity(self, *, code: str, nonce: str, code_verifier: str) -> Identity:
        """The identity of the person who logged in, from the ID token for ``code``.

        Checks the token's signature, issuer, audience, nonce and times, and the strength of the login if the settings
        require it. Raises OpenIdRefused, OpenIdUnavailable.
        """
        try:
            token = self._client.fetch_access_token(self._redirect, code=code, code_verifier=code_verifier)
            claims = self._client.parse_id_token(
                token,
                nonce=nonce,
                leeway=LEEWAY_SECONDS,
                claims_options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
            )
        except (OAuthError, JoseError) as error:
            log.warning("openid.refused", reason=type(error).__name__, detail=str(error))
            raise OpenIdRefused from error
        except UNUSABLE as error:
            raise self._unavailable(error) from error
        if claims is None:
            raise OpenIdRefused("The OpenID provider gave no ID token. Its administrator must allow the scope openid.")
        if self._acr_values and claims.get("acr") not in self._acr_values:
            raise OpenIdRefused(
                f"{self.host} did not log you in the way that this site asks for: {self._acr_values[0]}."
            )
        return _identity(self.issuer, claims)

    def end_address(self) -> str | None:
        """URL where the browser ends its session at the provider; None if the provider has no such page.

        Raises OpenIdUnavailable.
        """
        try:
            if "end_session_endpoint" not in self._client.load_server_metadata():
                return None
            ended = self._client.create_logout_url(client_id=self._client_id)
        except UNUSABLE as error:
            raise self._unavailable(error) from error
        return str(ended["url"])

    def _unavailable(self, error: Exception) -> OpenIdUnavailable:
        log.warning("openid.unavailable", issuer=self.issuer, reason=type(error).__name__, detail=str(error))
        return OpenIdUnavailable(f"{self.host} cannot be used to log in right now. Try again, or log in another way.")


def allowed_domains(settings: Settings) -> frozenset[str]:
    """The e-mail domains whose people need no invitation, in lower case."""
    listed = settings.openid_domains.split(",")
    return frozenset(each.strip().removeprefix("@").casefold() for each in listed) - {""}


def _secret(settings: Settings) -> str | None:
    """The client secret of this site, which is from now on removed from all logs.

    Raises OSError if its file cannot be read.
    """
    secret = settings.openid_client_secret.get_secret_value() if settings.openid_client_secret is not None else ""
    if settings.openid_client_secret_file is not None:
        secret = settings.openid_client_secret_file.read_text().strip()
    if secret:
        keep_secret(secret)
    return secret or None


def _discovery(issuer: str) -> str:
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def _checked(document: Any, issuer: str) -> dict[str, Any]:
    """The checked parts of a discovery document. Raises ValueError for another issuer's, or one without an endpoint.

    authlib passes everything in the document to its HTTP client, so only endpoints may remain.
    """
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError(f"the discovery document of {issuer} names another issuer")
    found = {name: document[name] for name in ENDPOINTS if isinstance(document.get(name), str)}
    if not found.keys() >= set(REQUIRED):
        raise ValueError(f"the discovery document of {issuer} lacks an endpoint")
    if issuer.startswith("https://") and any(not address.startswith("https://") for address in found.values()):
        raise ValueError(f"the discovery document of {issuer} names an endpoint without HTTPS")
    offered = document.get("id_token_signing_alg_values_supported", ["RS256"])
    believed = sorted(name for name in offered if isinstance(name, str) and name in ALGORITHMS)
    return {**found, "issuer": issuer, "id_token_signing_alg_values_supported": believed}


def _identity(issuer: str, claims: dict[str, Any]) -> Identity:
    subject, email = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not subject:
        raise OpenIdRefused
    is_verified = claims.get("email_verified") is True and isinstance(email, str)
    return Identity(issuer, subject, str(email).casefold() if is_verified else None)
