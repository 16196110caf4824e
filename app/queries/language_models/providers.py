"""Named language models: the one module that adds and changes them, for the command line and the web."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.domain.addresses import base_url_of, network_of
from app.domain.bounds import LONGEST_NAME
from app.domain.costs import Prices
from app.domain.events import EventKind
from app.domain.language_models import LOCAL_CAPABILITIES, ProviderKind
from app.errors import Conflict, Invalid, NotFound, ProviderError
from app.models import Provider
from app.queries.history.events import record_event
from app.queries.work.pauses import hold_provider, release_provider
from app.secrets import SecretBox, usable_key
from app.settings import is_key_variable

PROBED = ("kind", "model", "base_url")
"""Columns on which a probe's findings depend: if one changes, the findings are deleted."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The settings of a provider other than its name and key. Prices are per million tokens."""

    kind: ProviderKind
    model: str
    base_url: str | None = None
    key_variable: str | None = None
    allowed_networks: tuple[str, ...] = ()
    concurrency: int = 8
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_seconds: float = 120.0
    price_in: float = 0.0
    price_cached: float = 0.0
    price_out: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """The values of the table's columns. Raises Invalid with the first mistake."""
        if not self.model.strip():
            raise Invalid("A language model needs the name of the model.")
        if (self.kind is ProviderKind.OPENAI_COMPATIBLE) != bool(self.base_url):
            raise Invalid("An endpoint needs a base URL; a local model has none.")
        if self.key_variable is not None and not is_key_variable(self.key_variable):
            raise Invalid("The name of a key's environment variable ends in _KEY or _TOKEN, in capital letters.")
        try:
            base_url = base_url_of(self.base_url) if self.base_url else None
            networks = [network_of(network) for network in self.allowed_networks]
        except ValueError as error:
            raise Invalid(str(error)) from error
        return asdict(self) | {"model": self.model.strip(), "base_url": base_url, "allowed_networks": networks}

    @classmethod
    def of(cls, row: Provider) -> "ProviderSettings":
        """The settings of a row."""
        return cls(
            kind=ProviderKind(row.kind),
            model=row.model,
            base_url=row.base_url,
            key_variable=row.key_variable,
            allowed_networks=tuple(row.allowed_networks),
            concurrency=row.concurrency,
            requests_per_minute=row.requests_per_minute,
            tokens_per_minute=row.tokens_per_minute,
            timeout_seconds=row.timeout_seconds,
            price_in=row.price_in,
            price_cached=row.price_cached,
            price_out=row.price_out,
            options=row.options,
        )


def add_provider(session: Session, *, name: str, settings: ProviderSettings, by: int | None = None) -> Provider:
    """Insert a provider. Raises Invalid, and Conflict for a name that is taken."""
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise Invalid(f"A name has 1 to {LONGEST_NAME} printable characters.")
    if session.scalar(select(Provider.id).where(Provider.name == clean)) is not None:
        raise Conflict(f"There is already a provider called {clean!r}; remove it first, or choose another name.")
    provider = Provider(name=clean, **settings.columns(), capabilities=_known_capabilities(settings.kind))
    session.add(provider)
    session.flush()  # callers show its defaults
    _record(session, EventKind.PROVIDER_ADDED, provider, by, model=provider.model)
    return provider


def change_provider(session: Session, *, provider_id: int, settings: ProviderSettings, by: int | None = None) -> None:
    """Replace all settings of a provider. No event if nothing changes.

    A key belongs to the host for which it was given. If the host changes, the stored key is deleted, so that nobody can
    read the key by having it sent to another host. Raises Invalid, NotFound, and Conflict where the key comes from the
    environment.
    """
    provider = _locked(session, provider_id)
    new = settings.columns()
    old = ProviderSettings.of(provider).columns()
    changed: dict[str, Any] = {name: [old[name], new[name]] for name in new if new[name] != old[name]}
    if not changed:
        return
    if _host(old["base_url"]) != _host(new["base_url"]):
        if provider.key_variable is not None:
            raise Conflict(
                f"The key of {provider.name} comes from the environment of the workers and is for this host alone. "
                "Remove this language model and add it again on the command line."
            )
        if provider.key_encrypted is not None:
            provider.key_encrypted = provider.key_set_at = provider.key_set_by = None
            changed["key"] = "deleted"
    for name in changed.keys() & new.keys():
        setattr(provider, name, new[name])
    if changed.keys() & set(PROBED):
        provider.capabilities = _known_capabilities(settings.kind)
        provider.probed_at = provider.probe_error = None
    _record(session, EventKind.PROVIDER_CHANGED, provider, by, changed=changed)


def set_key(session: Session, *, provider_id: int, key: str, box: SecretBox, by: int | None = None) -> None:
    """Store a provider's key encrypted, replacing the previous one. It can be replaced but never read.

    Raises Invalid for a key that cannot be sent, NotFound.
    """
    provider = _locked(session, provider_id)
    try:
        usable = usable_key(key, source="what was typed")
    except ProviderError as error:
        raise Invalid(error.message) from error
    if not usable:
        raise Invalid("The key is empty.")
    provider.key_encrypted, provider.key_set_at, provider.key_set_by = box.seal(usable), datetime.now(UTC), by
    _record(session, EventKind.PROVIDER_KEY_SET, provider, by)


def delete_key(session: Session, *, provider_id: int, by: int | None = None) -> None:
    """Delete a provider's stored key. Raises NotFound, Conflict if there is none."""
    provider = _locked(session, provider_id)
    if provider.key_encrypted is None:
        raise Conflict(f"{provider.name} has no stored key.")
    provider.key_encrypted = provider.key_set_at = provider.key_set_by = None
    _record(session, EventKind.PROVIDER_KEY_DELETED, provider, by)


def disable_provider(session: Session, *, provider_id: int, by: int | None = None) -> None:
    """Disable a provider; queued work for it waits. Raises NotFound, Conflict."""
    provider = _locked(session, provider_id)
    if provider.disabled_at is not None:
        raise Conflict(f"{provider.name} is disabled already.")
    provider.disabled_at = datetime.now(UTC)
    hold_provider(session, provider=provider.name, reason="An administrator has disabled it.")
    _record(session, EventKind.PROVIDER_DISABLED, provider, by)


def enable_provider(session: Session, *, provider_id: int, by: int | None = None) -> None:
    """Enable a disabled provider at once. Raises NotFound, Conflict."""
    provider = _locked(session, provider_id)
    if provider.disabled_at is None:
        raise Conflict(f"{provider.name} is not disabled.")
    provider.disabled_at = None
    release_provider(session, provider=provider.name)
    _record(session, EventKind.PROVIDER_ENABLED, provider, by)


def providers(session: Session) -> list[Provider]:
    """All providers by name."""
    return list(session.scalars(select(Provider).order_by(Provider.name)))


def enabled_providers(session: Session) -> list[str]:
    """The names of the providers that are not disabled."""
    return list(session.scalars(select(Provider.name).where(Provider.disabled_at.is_(None)).order_by(Provider.name)))


def provider_named(session: Session, *, name: str) -> Provider:
    """One provider. Raises NotFound, with the names that exist."""
    provider = session.scalar(select(Provider).where(Provider.name == name))
    if provider is None:
        known = ", ".join(p.name for p in providers(session)) or "none yet"
        raise NotFound(f"There is no provider called {name!r}. There are: {known}.")
    return provider


def provider_of(session: Session, *, provider_id: int) -> Provider:
    """The provider of this id. Raises NotFound."""
    provider = session.get(Provider, provider_id)
    if provider is None:
        raise NotFound("There is no such language model.")
    return provider


def remove_provider(session: Session, *, name: str, by: int | None = None) -> None:
    """Delete a provider with its key. Its stored replies remain. Raises NotFound."""
    provider = provider_named(session, name=name)
    _record(session, EventKind.PROVIDER_REMOVED, provider, by)
    release_provider(session, provider=name)
    session.execute(delete(Provider).where(Provider.name == name))


def store_probe(
    session: Session,
    *,
    name: str,
    capabilities: Sequence[str] | None,
    options: dict[str, Any],
    error: str | None,
) -> None:
    """Store a probe's findings, or its error. One event. Raises NotFound."""
    provider = provider_named(session, name=name)
    found = {"capabilities": list(capabilities), "options": options} if capabilities is not None else {}
    session.execute(
        update(Provider).where(Provider.name == name).values(probed_at=datetime.now(UTC), probe_error=error, **found)
    )
    _record(session, EventKind.PROVIDER_PROBED, provider, None, failed=error is not None, **found)


def prices_of(provider: Provider) -> Prices:
    """A provider's prices per million tokens."""
    return Prices(provider.price_in, provider.price_cached, provider.price_out)


def _host(base_url: str | None) -> tuple[str, str] | None:
    """Scheme and host with port."""
    parts = urlsplit(base_url or "")
    return (parts.scheme, parts.netloc.casefold()) if base_url else None


def _known_capabilities(kind: ProviderKind) -> list[str] | None:
    """The capabilities known without a probe; None for an endpoint."""
    return sorted(LOCAL_CAPABILITIES) if kind is ProviderKind.LOCAL else None


def _locked(session: Session, provider_id: int) -> Provider:
    provider = session.scalar(select(Provider).where(Provider.id == provider_id).with_for_update())
    if provider is None:
        raise NotFound("There is no such language model.")
    return provider


def _record(session: Session, kind: EventKind, provider: Provider, by: int | None, **detail: Any) -> None:
    record_event(session, kind=kind, account_id=by, detail={"name": provider.name, **detail})
