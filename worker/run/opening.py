"""Opens the provider of a database row. One instance per process and row, because it has rate limits or a model."""

import threading
from collections.abc import Callable, Mapping

from app.db import Sessions, transaction
from app.domain.language_models import UNPROBED, Capability, ProviderKind
from app.errors import ProviderError
from app.models import Provider as ProviderRow
from app.queries.language_models.providers import prices_of, provider_named
from app.secrets import SecretBox, usable_key
from app.settings import Settings, key_from_environment
from worker.providers.base import Provider
from worker.providers.openai_compatible import EndpointSettings, OpenAICompatible
from worker.providers.wire import Dialect
from worker.run.recording import DatabaseCalls, RecordingProvider


def open_provider(row: ProviderRow, settings: Settings) -> Provider:
    """The provider described by a row. Raises ProviderError if it cannot be opened."""
    return _OPENERS[ProviderKind(row.kind)](row, settings)


def endpoint_settings(row: ProviderRow, settings: Settings) -> EndpointSettings:
    """An endpoint's row with its key. Raises ProviderError if a part is missing."""
    if row.base_url is None:
        raise ProviderError(f"{row.name} has no base URL.", permanent=True)
    return EndpointSettings(
        name=row.name,
        model=row.model,
        base_url=row.base_url,
        key=key_of(row, settings),
        allowed_networks=tuple(row.allowed_networks),
        concurrency=row.concurrency,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        timeout_seconds=row.timeout_seconds,
        dialect=Dialect.of(row.options),
        capabilities=capabilities_of(row),
    )


def _open_endpoint(row: ProviderRow, settings: Settings) -> Provider:
    return OpenAICompatible(endpoint_settings(row, settings))


def _open_local(row: ProviderRow, settings: Settings) -> Provider:
    from worker.providers.local import load_local  # imported late: endpoints do not need torch

    return load_local(row.name, row.model, device=settings.device, options=row.options)


_OPENERS: Mapping[ProviderKind, Callable[[ProviderRow, Settings], Provider]] = {
    ProviderKind.OPENAI_COMPATIBLE: _open_endpoint,
    ProviderKind.LOCAL: _open_local,
}


def key_of(row: ProviderRow, settings: Settings) -> str:
    """The endpoint's key, trimmed; empty where it needs none.

    Raises ProviderError if the named variable has no key, or one that cannot be sent.
    """
    if row.key_variable is not None:
        source = f"the environment variable {row.key_variable}"
        secret = key_from_environment(row.key_variable)
        key = "" if secret is None else usable_key(secret.get_secret_value(), source=source)
        if not key:
            raise ProviderError(
                f"{row.name}: {source}, which should hold its key, is not set or empty.", permanent=True
            )
        return key
    if row.key_encrypted is None:
        return ""
    return usable_key(SecretBox(settings.data_dir).open(row.key_encrypted), source=f"the stored key of {row.name}")


def capabilities_of(row: ProviderRow) -> frozenset[Capability]:
    """The capabilities that the last probe found; without a probe only chat."""
    return UNPROBED if row.capabilities is None else frozenset(Capability(c) for c in row.capabilities)


class Providers:
    """The providers that a worker process has opened. Safe to use from several threads."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._settings = sessions, settings
        self._open: dict[tuple[object, ...], Provider] = {}
        self._lock = threading.Lock()

    def for_run(self, name: str, run_id: int | None, tick: Callable[[], None] = lambda: None) -> RecordingProvider:
        """The named provider, recording calls for a run; ``tick`` is called at each. Raises NotFound, ProviderError."""
        row, inner = self._opened(name)
        return RecordingProvider(inner, DatabaseCalls(self._sessions, run_id, row.name, prices_of(row)), tick)

    def for_task(self, name: str, task_id: int, tick: Callable[[], None] = lambda: None) -> RecordingProvider:
        """The named provider, recording calls for a task, charged to its person. Raises as ``for_run`` does."""
        row, inner = self._opened(name)
        calls = DatabaseCalls(self._sessions, None, row.name, prices_of(row), task_id=task_id)
        return RecordingProvider(inner, calls, tick)

    def _opened(self, name: str) -> tuple[ProviderRow, Provider]:
        """The provider's present row, and the provider that it describes."""
        with transaction(self._sessions) as session:
            row = provider_named(session, name=name)
        if row.disabled_at is not None:
            # Not permanent: queued work waits until the provider is enabled again, as for one that is down.
            raise ProviderError(
                f"The language model {name} is disabled. An administrator can enable it.", permanent=False
            )
        with self._lock:
            identity = _identity(row)
            if identity not in self._open:
                self._open[identity] = open_provider(row, self._settings)
            return row, self._open[identity]

    @property
    def opened(self) -> tuple[Provider, ...]:
        """The open providers."""
        return tuple(self._open.values())

    def close(self) -> None:
        """Close threads and connections."""
        with self._lock:
            for provider in self._open.values():
                if isinstance(provider, OpenAICompatible):
                    provider.close()
            self._open.clear()


def _identity(row: ProviderRow) -> tuple[object, ...]:
    """All columns of a row whose change makes it another provider."""
    return (
        row.id, row.model, row.base_url, row.key_variable, row.key_encrypted, tuple(row.allowed_networks),
        row.concurrency, row.requests_per_minute, row.tokens_per_minute, row.timeout_seconds,
        repr(sorted(row.options.items())), capabilities_of(row),
    )  # fmt: skip
