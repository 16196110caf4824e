"""Embedding of texts by the model of the settings: behind an endpoint, recorded and priced, or in a folder."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.db import Sessions, transaction
from app.domain.arrays import Float32s
from app.domain.embeddings import EmbeddingSource, embedded_part, unit_vectors
from app.domain.language_models import Outcome
from app.errors import Conflict, ProviderError
from app.queries.embeddings.source import embedding_source
from app.queries.language_models.providers import provider_named
from app.settings import Settings
from worker.providers.base import EmbedRequest, Reply
from worker.run.opening import Providers

if TYPE_CHECKING:
    from worker.providers.local_embedding import LocalEmbedder

STEP = "embed"


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """The task for which calls are recorded; ``tick`` is called after each."""

    id: int
    tick: Callable[[], None]


class Embedder(Protocol):
    """One embedding model."""

    digest: str
    """A digest that distinguishes the model from others of its source."""

    def embed(self, texts: Sequence[str], *, dimensions: int | None, task: EmbeddingTask) -> Float32s:
        """Embeddings scaled to length 1, float32 [texts, dimensions]. Raises ProviderError for unusable ones."""
        ...


class Embedders:
    """The embedder of a worker process. Safe to use from several threads."""

    def __init__(self, sessions: Sessions, settings: Settings, providers: Providers) -> None:
        self._sessions, self._settings, self._providers = sessions, settings, providers
        self._lock = threading.Lock()
        self._loaded: LocalEmbedder | None = None

    @property
    def loaded(self) -> "tuple[LocalEmbedder, ...]":
        """The model that is in memory; None if none is."""
        return () if self._loaded is None else (self._loaded,)

    def open(self, key: str) -> tuple[EmbeddingSource, Embedder]:
        """The embedder of the settings, which must be the one for which the task was queued.

        Raises Conflict if it is not, NotFound for an unknown endpoint, CheckpointError for an unusable folder.
        """
        source = embedding_source(self._settings)
        if source is None or source.key != key:
            raise Conflict(
                "The settings of this worker name another embedding model than those of the program that queued this."
                " Give both the same NEURON_AUDIT_EMBEDDING_PROVIDER and NEURON_AUDIT_EMBEDDING_MODEL."
            )
        if source.provider is None:
            return source, _Folder(source.label, self._local(source.model))
        with transaction(self._sessions) as session:
            row = provider_named(session, name=source.provider)
        model = source.model or row.model
        digest = hashlib.sha256(f"{row.base_url} {model}".encode()).hexdigest()
        return source, _Endpoint(self._providers, source.provider, model, digest)

    def _local(self, folder: str) -> "LocalEmbedder":
        from worker.providers.local_embedding import load_local_embedder  # imported late: endpoints do not need torch

        with self._lock:
            if self._loaded is None:
                self._loaded = load_local_embedder(folder, device=self._settings.device)
            return self._loaded


class _Folder:
    def __init__(self, name: str, model: "LocalEmbedder") -> None:
        self._name, self._model = name, model
        self.digest = model.digest

    def embed(self, texts: Sequence[str], *, dimensions: int | None, task: EmbeddingTask) -> Float32s:
        rows = self._model.embed([embedded_part(text) for text in texts])
        task.tick()
        return _checked(self._name, rows.tolist(), len(texts), dimensions)


class _Endpoint:
    def __init__(self, providers: Providers, name: str, model: str, digest: str) -> None:
        self._providers, self._name, self._model = providers, name, model
        self.digest = digest

    def embed(self, texts: Sequence[str], *, dimensions: int | None, task: EmbeddingTask) -> Float32s:
        # Opened anew for each call, so that a disabled endpoint is noticed and no embeddings accumulate in memory.
        provider = self._providers.for_task(self._name, task.id, task.tick)
        parser = EmbeddingParser(len(texts), dimensions)
        asked = EmbedRequest(STEP, self._model, tuple(embedded_part(text) for text in texts), parser)
        (reply,) = provider.embed([asked])
        if reply.outcome is not Outcome.OK:
            raise ProviderError(f"{self._name} returns no usable embedding: {reply.error}.", permanent=True)
        return _checked(self._name, reply.vectors, len(texts), dimensions)


@dataclass(frozen=True, slots=True)
class EmbeddingParser:
    """Refuses embeddings that cannot be compared, so that their call is stored as failed."""

    n: int
    dimensions: int | None

    @property
    def version(self) -> str:
        """Name and version."""
        return "embeddings/1"

    def check(self, reply: Reply) -> None:
        """Raises ValueError, with the reason, if a reply's embeddings cannot be used."""
        unit_vectors(reply.vectors, n=self.n, dimensions=self.dimensions)


def _checked(name: str, rows: Sequence[Sequence[float]], n: int, dimensions: int | None) -> Float32s:
    try:
        return unit_vectors(rows, n=n, dimensions=dimensions)
    except ValueError as error:
        raise ProviderError(f"{name} returns no usable embedding: {error}.", permanent=True) from error
