"""The embedding model that the settings name."""

from app.domain.embeddings import EmbeddingSource
from app.settings import Settings


def embedding_source(settings: Settings) -> EmbeddingSource | None:
    """The embedding model of the settings; None if none is set, so that search by meaning is hidden."""
    if not settings.embedding_provider and not settings.embedding_model:
        return None
    return EmbeddingSource(settings.embedding_provider or None, settings.embedding_model)
