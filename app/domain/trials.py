"""A worker's results for a text that a person tries: on one neuron, and on all of a subject's."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One neuron on one text of T tokens.

    ``activations`` [T] in the model's units; ``expected`` [T], 0..10, by the explanation, None where ``note``
    is the reason why there are none. ``unit`` is the activation, in the model's units, that 1 of ``expected``
    corresponds to, ``simulator`` the one that was used, uncalibrated: both are None without expected activations.
    ``seconds`` is the worker's own time.
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
"""Neurons that the result for a text names."""


@dataclass(frozen=True, slots=True)
class FiringNeuron:
    """A neuron's highest activation on a text: at which token, and as a share of its maximum over the corpus."""

    layer: int
    index: int
    peak: float
    at: int
    share: float


@dataclass(frozen=True, slots=True)
class FiringResult:
    """The neurons of a subject that fire most on a text of T tokens, by the share of their own maximum.

    A neuron whose maximum over the corpus is not known or not above 0 is not among them: ``n_compared`` were.
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
