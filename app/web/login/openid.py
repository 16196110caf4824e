"""The client of an OpenID provider: authorization code with PKCE, by authlib.

Knows HTTP and the protocol, and no accounts: ``app.queries.people.openid`` decides whose account an identity is.
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
"""The most by which clocks may differ."""
METADATA_SECONDS = 3600
"""After which the discovery document is read again."""
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
"""Signatures by a private key. The others are made with what this client knows, or with nothing."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint")
REQUIRED = ENDPOINTS[:3]
UNUSABLE = (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError)
"""What a provider that is away, or whose documents are malformed, raises in authlib."""


class OpenIdUnavailable(DomainError):
    """The OpenID provider cannot be used right now. Try again in a moment, or log in another way."""

    status = 502


class OpenIdRefused(Forbidden):
    """The OpenID provider's response was refused. Start the login again."""


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """Where the browser is sent, and what its return is checked against."""

    address: str
    state: str
    nonce: str
    code_verifier: str


class _Client(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]  # authlib ships no types
    """authlib's client, which believes the discovery document only as far as it was checked."""

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
                # One assignment: other threads see the old document or the new one.
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
        """The provider that these settings name, if they name one."""
        return None if settings.openid_issuer is None else cls(settings, issuer=settings.openid_issuer)

    def begin(self) -> BegunLogin:
        """A login with new secrets. Raises OpenIdUnavailable."""
        try:
            strength = {"acr_values": " ".join(self._acr_values)} if self._acr_values else {}
            begun = self._client.create_authorization_url(self._redirect, **strength)
        except UNUSABLE as error:
            raise self._unavailable(error) from error
        return BegunLogin(begun["url"], begun["state"], begun["nonce"], begun["code_verifier"])

    def identity(self, *, code: str, nonce: str, code_verifier: str) -> Identity:
        """Who logged in, by the ID token that the provider gives for ``code``.

        Checked are its signature, issuer, audience, nonce, times, and how strong the login was where the settings
        say so. Raises OpenIdRefused, OpenIdUnavailable.
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
        """Where the browser ends its session at the provider, if the provider has such a page.

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
    """The e-mail domains whose people need no invitation, in small letters."""
    listed = settings.openid_domains.split(",")
    return frozenset(each.strip().removeprefix("@").casefold() for each in listed) - {""}


def _secret(settings: Settings) -> str | None:
    """What the provider knows this site by, and from now on removed from all that is logged.

    Raises OSError where its file cannot be read.
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
    """What is used of a discovery document. Raises ValueError for another issuer's, or one without an endpoint.

    authlib hands all that it holds to its HTTP client: nothing but endpoints may come from outside.
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
