"""Activations as steps of a heatmap: linear, signed, on one scale per neuron."""

import numpy as np

from app.domain.activations import LARGEST_HALF, NORMALISED_MAXIMUM, normalise
from app.domain.arrays import Float32s, Int32s

_ROUNDING = 2.0**-10
"""Relative rounding error of a scale: scales are rounded to float16 like activations."""


def heat_scale(maximum: float | None, minimum: float | None) -> float:
    """The activation that is drawn at full strength, in the model's own units.

    The neuron's maximum over the corpus, rounded like stored activations, so that the record with the maximum reaches
    full strength. For a neuron that is never positive, the magnitude of its minimum. 0 if nothing is known.
    """
    for bound in (maximum or 0.0, -(minimum or 0.0)):
        if bound > 0:
            return float(np.float16(min(bound, float(LARGEST_HALF))))
    return 0.0


def heat_steps(activations: Float32s, scale: float) -> Int32s:
    """Steps -10..10 with the sign of the activation. Same shape as the input.

    The step's magnitude is ``normalise`` of the activation's: floor(10 * |a| / scale), at most 10.
    """
    return np.where(activations < 0, -1, 1).astype(np.int32) * normalise(np.abs(activations), scale)


def simulated_steps(expected: Float32s, unit: float, scale: float) -> Int32s:
    """Steps -10..10 of expected activations; an expected activation of 1 is ``unit`` in the model's own units.

    Where level 10 equals the scale, the steps are computed from the expected values directly: multiplying by ``unit``
    and dividing again could round a whole number to its neighbour.
    """
    level_10 = NORMALISED_MAXIMUM * unit
    if abs(level_10 - scale) <= _ROUNDING * scale:
        return heat_steps(expected, NORMALISED_MAXIMUM)
    return heat_steps((expected * np.float32(unit)).astype(np.float32), scale)
