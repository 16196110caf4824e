"""Embeddings of texts: which model makes them, and what a usable one is."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float32s

MOST_DIMENSIONS = 4_000
"""pgvector indexes no more dimensions of ``halfvec`` (two bytes each)."""
LONGEST_EMBEDDED = 2_000
"""Characters of a text that are embedded: most encoders read only 512 tokens."""


@dataclass(frozen=True, slots=True)
class EmbeddingSource:
    """Where embeddings come from, as the settings name it: an endpoint's model, or a folder on the workers."""

    provider: str | None
    """The name of a language model behind an endpoint; None for a folder."""
    model: str
    """The model at that endpoint, empty for the endpoint's own; or the path of a folder."""

    @property
    def key(self) -> str:
        """A key that is unique to this source. The web program and the workers derive it from settings alone."""
        return f"folder {self.model}" if self.provider is None else f"endpoint {self.provider} {self.model}".rstrip()

    @property
    def label(self) -> str:
        """The source in words, without the path of a folder."""
        if self.provider is None:
            return self.model.rstrip("/").rpartition("/")[2] or self.model
        return f"{self.model} by {self.provider}" if self.model else self.provider


def text_digest(text: str) -> bytes:
    """SHA-256 of a text: the key under which its embedding is stored."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def embedded_part(text: str) -> str:
    """The first part of a text, the one that is embedded."""
    return text[:LONGEST_EMBEDDED]


def unit_vectors(rows: Sequence[Sequence[float]], *, n: int, dimensions: int | None) -> Float32s:
    """``n`` embeddings scaled to length 1, float32 [n, dimensions].

    ``dimensions`` is the length of the model's earlier embeddings, None if there are none. Raises ValueError, with the
    reason, if a cosine of them would be meaningless: a different number or length, a value that is not finite, only
    zeros.
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
    scaled = values / largest  # scaled first: squares of values near the ends of the range under- or overflow
    unit: Float32s = (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)).astype(np.float32)
    return unit
