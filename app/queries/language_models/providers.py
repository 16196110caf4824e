"""Named language models."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.domain.costs import Prices
from app.errors import Conflict, NotFound
from app.models import Provider


def add_provider(session: Session, *, name: str, values: dict[str, Any]) -> Provider:
    """Insert a provider; ``values`` are columns of its table. Raises Conflict for a name that is taken."""
    if session.scalar(select(Provider.id).where(Provider.name == name)) is not None:
        raise Conflict(f"There is already a provider called {name!r}; remove it first.")
    provider = Provider(name=name, **values)
    session.add(provider)
    session.flush()  # callers show its defaults
    return provider


def providers(session: Session) -> list[Provider]:
    """All providers by name."""
    return list(session.scalars(select(Provider).order_by(Provider.name)))


def provider_named(session: Session, *, name: str) -> Provider:
    """One provider. Raises NotFound, with the names that exist."""
    provider = session.scalar(select(Provider).where(Provider.name == name))
    if provider is None:
        known = ", ".join(p.name for p in providers(session)) or "none yet"
        raise NotFound(f"There is no provider called {name!r}. There are: {known}.")
    return provider


def remove_provider(session: Session, *, name: str) -> None:
    """Delete a provider with its key. Its stored replies remain. Raises NotFound."""
    provider_named(session, name=name)
    session.execute(delete(Provider).where(Provider.name == name))


def store_probe(
    session: Session,
    *,
    name: str,
    capabilities: Sequence[str] | None,
    options: dict[str, Any],
    error: str | None,
) -> None:
    """Note what a probe found, or why it found nothing."""
    found = {"capabilities": list(capabilities), "options": options} if capabilities is not None else {}
    session.execute(
        update(Provider).where(Provider.name == name).values(probed_at=datetime.now(UTC), probe_error=error, **found)
    )


def prices_of(provider: Provider) -> Prices:
    """A provider's prices per million tokens."""
    return Prices(provider.price_in, provider.price_cached, provider.price_out)
