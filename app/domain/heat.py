"""Activations as steps of a heatmap: linear, signed, on one scale per neuron."""

import numpy as np

from app.domain.activations import FloatArray, IntArray, normalise


def heat_scale(maximum: float | None, minimum: float | None) -> float:
    """The activation that is drawn at full strength, in the model's own units.

    The neuron's maximum over the corpus, rounded as stored activations are, so that the record that holds
    it reaches it; for a neuron that is never positive the size of its minimum; 0 where nothing is known.
    """
    for bound in (maximum or 0.0, -(minimum or 0.0)):
        if bound > 0:
            return float(np.float16(min(bound, float(np.finfo(np.float16).max))))
    return 0.0


def heat_steps(activations: FloatArray, scale: float) -> IntArray:
    """Steps -10..10, the sign that of the activation. Same shape as the input.

    The size is ``normalise`` of the size: floor(10 * |a| / scale), at most 10.
    """
    return np.where(activations < 0, -1, 1).astype(np.int32) * normalise(np.abs(activations), scale)
