"""How similarly two neurons fire on the same text."""

from collections.abc import Mapping

import numpy as np

from app.domain.arrays import Float32s

ALIKE, UNLIKE = 0.6, 0.2
"""Above the first correlation two neurons fire on mostly the same tokens, up to the second on different ones."""


def cofiring(own: Mapping[int, Float32s], other: Mapping[int, Float32s]) -> float | None:
    """The correlation of two neurons' activations over all tokens of the excerpts that both have, by excerpt id.

    Activations have shape [T] per excerpt. None if no excerpt is shared or one neuron does not vary. The shared
    excerpts
    are ones on which both fire most, so the correlation shows whether both fire on the same tokens there, not how often
    they fire together in the corpus.
    """
    shared = sorted(own.keys() & other.keys())
    if not shared:
        return None
    pair = np.array([np.concatenate([each[i] for i in shared]) for each in (own, other)], dtype=np.float64)
    if not pair.std(axis=1).all():
        return None
    return float(np.clip(np.asarray(np.corrcoef(pair))[0, 1], -1.0, 1.0))


def cofiring_words(correlation: float) -> str:
    """The meaning of a correlation of ``cofiring``, in words that follow "they fire on"."""
    if correlation >= ALIKE:
        return "mostly the same tokens"
    return "different tokens" if correlation <= UNLIKE else "partly the same tokens"
