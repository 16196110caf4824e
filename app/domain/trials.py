"""Results of a worker for a text that a person tries, on one neuron or on all neurons of a subject."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result for one neuron on one text of T tokens.

    ``activations`` [T] are in the model's units. ``expected`` [T], 0..10, are the expected activations by the
    explanation; None if there are none, and then ``note`` is the reason. ``unit`` is the activation, in the model's
    units, that an expected activation of 1 corresponds to; ``simulator`` is the name of the simulator, used
    uncalibrated. Both are None without expected activations. ``seconds`` is the time that the worker took.
    """

    token_ids: list[int]
    activations: list[float]
    expected: list[float] | None
    note: str | None
    seconds: float
    unit: float | None
    simulator: str | None

    def __post_init__(self) -> None:
        if (self.expected is None) is not (self.unit is None):
            raise ValueError("expected activations and their unit come together")
        if not all(map(math.isfinite, [*self.activations, *(self.expected or ())])):
            raise ValueError("an activation is not a finite number")

    def as_json(self) -> dict[str, Any]:
        """The JSON that is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "TrialResult":
        """Read the stored JSON."""
        return cls(**stored)


MOST_FIRING = 30
"""The number of neurons listed in the result for a text."""


@dataclass(frozen=True, slots=True)
class FiringNeuron:
    """A neuron's highest activation on a text, its token's index, and its share of the maximum over the corpus."""

    layer: int
    index: int
    peak: float
    at: int
    share: float


@dataclass(frozen=True, slots=True)
class FiringResult:
    """The neurons of a subject that fire most on a text of T tokens, by the share of their own maximum.

    Neurons whose maximum over the corpus is unknown or not above 0 are left out; ``n_compared`` is the number compared.
    """

    token_ids: list[int]
    neurons: list[FiringNeuron]
    n_compared: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The JSON that is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "FiringResult":
        """Read the stored JSON."""
        return cls(**{**stored, "neurons": [FiringNeuron(**neuron) for neuron in stored["neurons"]]})
