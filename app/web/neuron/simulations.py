"""A neuron's stored simulations as rows: real activations, expected ones, their difference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.activations import FloatArray
from app.domain.heat import heat_steps, simulated_steps
from app.queries.neurons.page import StoredExcerpt, StoredSample, StoredSimulation
from app.web.heat.heatmap import Heat, heat_rows, stacked_line
from app.web.neuron.evidence import Line, RowSource, real_rows, unpacked


@dataclass(frozen=True, slots=True)
class SimulatedRow:
    """Real and expected activations of one excerpt, or why there are none."""

    excerpt_id: int
    kind: str
    document: str | None
    position: int
    tokens: list[str]
    activations: list[float] | None
    expected: list[float] | None
    """0..10, or beyond where it was calibrated."""
    unit: float
    """The activation, in the model's units, that 1 of ``expected`` corresponds to."""
    failure: str | None
    line: Line


@dataclass(frozen=True, slots=True)
class SimulationShown:
    """One simulator on the excerpts of one split."""

    simulator: str
    split: str
    rows: tuple[SimulatedRow, ...]


def shown_simulations(
    source: RowSource, samples: Sequence[StoredSample], simulations: Sequence[StoredSimulation]
) -> tuple[SimulationShown, ...]:
    """Real against simulated, the scored split of every sample together.

    ``simulations`` are in stored order; of one simulator's repeated ones the newest is shown.
    """
    real = real_rows(source, samples)
    newest = {(s.simulator, s.split, s.kind): s for s in simulations}
    grouped: dict[tuple[str, str], list[SimulatedRow]] = {}
    for simulation in newest.values():
        rows = grouped.setdefault((simulation.simulator, simulation.split), [])
        rows.extend(simulated_rows(source, real, simulation))
    return tuple(SimulationShown(name, split, tuple(rows)) for (name, split), rows in grouped.items())


def simulated_rows(
    source: RowSource, real: Mapping[tuple[int, str, int], FloatArray], simulation: StoredSimulation
) -> Iterator[SimulatedRow]:
    """The rows of one simulation, each with its real activations where they are stored."""
    pairs = list(_pairs(source, real, simulation))
    lines = iter(_stacked_lines(source, [pair for pair in pairs if pair.failure is None], simulation.unit))
    for excerpt_id, pair in zip(simulation.excerpt_ids, pairs, strict=True):
        yield SimulatedRow(
            excerpt_id=excerpt_id,
            kind=simulation.kind,
            document=pair.excerpt.document,
            position=pair.excerpt.position,
            tokens=source.strings(pair.excerpt.token_ids),
            activations=pair.real.tolist() if pair.real is not None else None,
            expected=pair.expected.tolist() if pair.failure is None else None,
            unit=simulation.unit,
            failure=pair.failure,
            line=next(lines) if pair.failure is None else "",
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Real and expected activations of an excerpt, or why there are not both."""

    excerpt: StoredExcerpt
    real: FloatArray | None
    expected: FloatArray
    failure: str | None


def _pairs(
    source: RowSource, real: Mapping[tuple[int, str, int], FloatArray], simulation: StoredSimulation
) -> Iterator[_Pair]:
    flat, end = unpacked(simulation.expected), 0
    for index, excerpt_id in enumerate(simulation.excerpt_ids):
        excerpt = source.excerpts[excerpt_id]
        start, end = end, end + len(excerpt.token_ids)
        failure = simulation.failures.get(str(index))
        activations = real.get((simulation.collection_id or 0, simulation.kind, excerpt_id))
        if failure is None and activations is None:
            failure = "the real activations of this excerpt are not stored any more"
        yield _Pair(excerpt, activations, flat[start:end], failure)


def _stacked_lines(source: RowSource, pairs: Sequence[_Pair], unit: float) -> Iterator[str]:
    if not pairs:
        return
    real = np.concatenate([pair.real for pair in pairs if pair.real is not None])
    expected = np.concatenate([pair.expected for pair in pairs])
    tokens = [pair.excerpt.token_ids for pair in pairs]
    for heats in stacked_heat(source, tokens, real, expected, unit):
        yield stacked_line(*heats, source.words)


def stacked_heat(
    source: RowSource, tokens: Sequence[Sequence[int]], real: FloatArray, expected: FloatArray, unit: float
) -> Iterator[tuple[Heat, Heat, Heat]]:
    """Real and expected activations and their difference, excerpt by excerpt, on the neuron's scale.

    ``real`` and ``expected`` are laid end to end; 1 of ``expected`` stands for ``unit`` in the model's own units.
    """
    simulated = expected * np.float32(unit)
    residual = real - simulated
    above = heat_rows(tokens, real, heat_steps(real, source.scale), source.words)
    middle = heat_rows(tokens, simulated, simulated_steps(expected, unit, source.scale), source.words)
    below = heat_rows(tokens, residual, heat_steps(residual, source.scale), source.words)
    yield from zip(above, middle, below, strict=True)
