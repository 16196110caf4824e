"""Embeddings of texts: which model makes them, and what a usable one is."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float32s

MOST_DIMENSIONS = 4_000
"""An index of pgvector takes no more, at two bytes each."""
LONGEST_EMBEDDED = 2_000
"""Characters of a text that are embedded: most encoders read 512 tokens."""


@dataclass(frozen=True, slots=True)
class EmbeddingSource:
    """Where embeddings come from, as the settings name it: an endpoint's model, or a folder on the workers."""

    provider: str | None
    """The name of a language model behind an endpoint; None for a folder."""
    model: str
    """The model at that endpoint, empty for the endpoint's own; or the path of a folder."""

    @property
    def key(self) -> str:
        """Distinguishes it from other sources. The web program and the workers derive it from settings alone."""
        return f"folder {self.model}" if self.provider is None else f"endpoint {self.provider} {self.model}".rstrip()

    @property
    def label(self) -> str:
        """The source in words, without the path to a folder."""
        if self.provider is None:
            return self.model.rstrip("/").rpartition("/")[2] or self.model
        return f"{self.model} by {self.provider}" if self.model else self.provider


def text_digest(text: str) -> bytes:
    """SHA-256 of a text: what an embedding is found by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def embedded_part(text: str) -> str:
    """The beginning of a text that is embedded."""
    return text[:LONGEST_EMBEDDED]


def unit_vectors(rows: Sequence[Sequence[float]], *, n: int, dimensions: int | None) -> Float32s:
    """``n`` embeddings scaled to length 1, float32 [n, dimensions].

    ``dimensions`` is what earlier embeddings of the model have, None where there are none. Raises ValueError with the
    reason where a cosine of them would mean nothing: another number or length, a value that is not finite, only zeros.
    """
    if len(rows) != n:
        raise ValueError(f"{n} texts were sent, and {len(rows)} embeddings came back")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(f"the embeddings have different lengths: {', '.join(map(str, lengths))}")
    if not lengths or not 1 <= lengths[0] <= MOST_DIMENSIONS:
        raise ValueError(f"an embedding has {lengths[0] if lengths else 0} numbers; 1 to {MOST_DIMENSIONS} can be used")
    if dimensions is not None and lengths[0] != dimensions:
        raise ValueError(f"an embedding has {lengths[0]} numbers, and earlier ones of this model have {dimensions}")
    values = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("an embedding has a value that is not a finite number")
    largest = np.abs(values).max(axis=1, keepdims=True)
    if not (largest > 0).all():
        raise ValueError("an embedding has only zeros, so that it has no direction")
    scaled = values / largest  # its square would be lost, or too large, for values at the ends of the range
    unit: Float32s = (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)).astype(np.float32)
    return unit
