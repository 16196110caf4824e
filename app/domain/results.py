"""The results that the pipeline passes to the database: frozen, complete, ready to store."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.domain.activations import SampleKind, Split
from app.domain.arrays import Float32s

TOP_AND_RANDOM = "top_and_random"
"""The 2023 paper's mixture of excerpts: five top and five random ones."""


@dataclass(frozen=True, slots=True)
class SimulatedExcerpt:
    """Expected activations (0..10, one per token) of one excerpt, or the reason why there are none.

    ``distribution`` [T, 11] is the probability of each number if the simulator provides it;
    ``uncalibrated`` [T] are the values before the calibration.
    """

    excerpt_id: int
    length: int
    expected: Float32s | None
    failure: str | None = None
    distribution: Float32s | None = None
    uncalibrated: Float32s | None = None

    def __post_init__(self) -> None:
        if (self.expected is None) == (self.failure is None):
            raise ValueError("a simulated excerpt has expected activations or a failure")
        if self.expected is not None and not np.isfinite(self.expected).all():
            raise ValueError("an expected activation is not a finite number: that is a failure")


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """One simulator's results on the excerpts of one split of one sample.

    ``simulator`` is the simulator's name including its calibration. ``unit`` is the activation, in the model's units,
    that an expected activation of 1 corresponds to.
    """

    simulator: str
    kind: SampleKind
    split: Split
    excerpts: tuple[SimulatedExcerpt, ...]
    unit: float


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A scorer's number, or the reason why it is undefined.

    ``simulator`` names the simulator, including its calibration, whose expected activations were scored; None for a
    scorer that uses none.
    """

    scorer: str
    sample: str
    value: float | None
    n_valid: int
    n_failed: int
    undefined_reason: str | None = None
    interval: tuple[float, float] | None = None
    token_lookup_baseline: float | None = None
    shuffled_baseline: float | None = None
    chance: float | None = None
    simulator: str | None = None

    def __post_init__(self) -> None:
        numbers = (self.value, *(self.interval or ()), self.token_lookup_baseline, self.shuffled_baseline, self.chance)
        if not all(math.isfinite(number) for number in numbers if number is not None):
            raise ValueError("a score is not a finite number: it is undefined, for a reason")


@dataclass(frozen=True, slots=True)
class ExplanationResult:
    """One candidate explanation with its simulations, scores and everything needed to reproduce it."""

    text: str
    simulations: tuple[SimulationResult, ...] = ()
    scores: tuple[ScoreResult, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
