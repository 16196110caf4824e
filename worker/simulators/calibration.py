"""Calibration: maps a simulator's expected activations to the scale of the real ones.

It is fitted for each text and neuron on the neuron's calibration records, never on scored ones. ``linear`` is least
squares; ``percentile`` maps an expected activation to the real one of the same rank. Sources: the 2023 paper's
calibration, and its published code's percentile matching.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM
from app.domain.arrays import Float32s, Int32s
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from worker.method.contracts import CannotSimulate, NeuronTask, Simulator

NOT_FINITE = "the calibrated activations are not finite numbers"

Map = Callable[[Float32s], Float32s]


def linear(expected: Float32s, real: Float32s) -> Map | None:
    """The straight line of least squares. None if ``expected`` is constant: no line fits better than another."""
    centre = float(expected.mean())
    spread = float(((expected - centre) ** 2).sum())
    if spread == 0:
        return None
    slope = float(((expected - centre) * (real - real.mean())).sum()) / spread
    offset = float(real.mean()) - slope * centre
    return lambda values: (slope * values + offset).astype(np.float32)


def percentile(expected: Float32s, real: Float32s) -> Map:
    """Map each value to the real one of the same rank, interpolating between ranks; beyond the ends, to the end's."""
    levels, counts = np.unique(expected, return_counts=True)
    # The rank of a value is the middle of the ranks of its equals.
    middles = (np.cumsum(counts) - counts / 2) / len(expected)
    # Hazen's plotting positions have the same middles: on equal data this map is the identity.
    targets = np.quantile(real, middles, method="hazen")
    return lambda values: np.interp(values, levels, targets).astype(np.float32)


Fit = Callable[[Float32s, Float32s], Map | None]
"""Function that fits a map to expected and real activations [N], in tenths of level 10; None if impossible."""


class Calibrated:
    """Wraps a simulator; the pipeline calls ``fitted`` before it simulates what is scored.

    Its name is that of the fitted simulator; results that were not calibrated have the inner simulator's name.
    """

    def __init__(self, inner: Simulator, kind: str, fit: Fit) -> None:
        self.inner, self.kind, self.fit = inner, kind, fit
        self.name, self.version = f"{inner.name}+{kind}", inner.version

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Simulate without calibration, to decide between texts, for which nothing is fitted."""
        return self.inner.simulate(text, excerpts, vocabulary)

    def fitted(self, text: str, task: NeuronTask) -> Simulator:
        """The calibrated simulator for this text and neuron; uses calibration records only.

        Returns the inner simulator, under its own name, if neither text nor records can be simulated, or nothing can be
        fitted. Raises ProviderError.
        """
        records, unit = task.calibration, task.records.level_10 / NORMALISED_MAXIMUM
        if unit <= 0:
            return self.inner
        try:
            found = self.inner.simulate(text, [(r.excerpt_id, r.token_ids) for r in records], task.vocabulary)
        except CannotSimulate:
            return self.inner
        pairs = [
            (r.excerpt_id, s.expected, r.activations / unit)
            for s, r in zip(found, records, strict=True)
            if s.expected is not None
        ]
        if not pairs:
            return self.inner
        ids, *columns = zip(*pairs, strict=True)
        expected, real = (np.concatenate(column) for column in columns)
        fitted_map = self.fit(expected, real)
        return self.inner if fitted_map is None else Fitted(self.inner, self.kind, fitted_map, ids)


class Fitted:
    """A simulator with a map fitted to one neuron on the records of these ids."""

    def __init__(self, inner: Simulator, kind: str, fitted_map: Map, fitted_on: Sequence[int]) -> None:
        self.inner, self.kind, self.map, self.fitted_on = inner, kind, fitted_map, tuple(fitted_on)
        self.name, self.version = f"{inner.name}+{kind}", inner.version

    @property
    def provenance(self) -> Mapping[str, object]:
        """The inner simulator's provenance, with the kind of calibration and the records it was fitted on."""
        inner = getattr(self.inner, "provenance", {})
        return {**inner, "calibration": self.kind, "calibrated_on": list(self.fitted_on)}

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Calibrated activations, not clipped, and the uncalibrated ones."""
        return tuple(self._mapped(s) for s in self.inner.simulate(text, excerpts, vocabulary))

    def _mapped(self, simulated: SimulatedExcerpt) -> SimulatedExcerpt:
        if simulated.expected is None:
            return simulated
        with np.errstate(over="ignore", invalid="ignore"):
            calibrated = self.map(simulated.expected)
        if not np.isfinite(calibrated).all():
            return SimulatedExcerpt(simulated.excerpt_id, simulated.length, expected=None, failure=NOT_FINITE)
        return replace(simulated, expected=calibrated, uncalibrated=simulated.expected)


def linear_calibration(simulator: Simulator) -> Calibrated:
    """The simulator with a linear calibration."""
    return Calibrated(simulator, "linear", linear)


def percentile_calibration(simulator: Simulator) -> Calibrated:
    """The simulator with a percentile calibration."""
    return Calibrated(simulator, "percentile", percentile)
