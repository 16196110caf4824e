"""A neuron's stored simulations as rows: real activations, expected ones, where they differ most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from app.domain.arrays import Float32s
from app.domain.executed import FIRING_LEVEL, Mistake
from app.domain.heat import heat_steps, simulated_steps
from app.queries.neurons.page import StoredExcerpt, StoredSample, StoredSimulation
from app.web.heat.heatmap import Heat, NumberColumn, number_table, strip, under_strip
from app.web.neuron.evidence import RowSource, real_rows, unpacked


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
    """Expected activations, 0..10, or beyond if calibrated."""
    unit: float
    """The activation, in the model's units, that an expected activation of 1 corresponds to."""
    failure: str | None
    largest_at: int
    """The token on which real and expected activation differ most."""
    largest: float
    """The largest difference on one token, real minus expected, in the model's units."""
    mistakes: dict[Mistake, int]
    """For each kind of mistake in the excerpt the token with the largest difference of that kind."""


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
    source: RowSource, real: Mapping[tuple[int, str, int], Float32s], simulation: StoredSimulation
) -> Iterator[SimulatedRow]:
    """The rows of one simulation, each with its real activations where they are stored."""
    for excerpt_id, pair in zip(simulation.excerpt_ids, _pairs(source, real, simulation), strict=True):
        largest_at, largest, mistakes = 0, 0.0, dict[Mistake, int]()
        if pair.failure is None and pair.real is not None and pair.real.size:
            difference = pair.real - pair.expected * np.float32(simulation.unit)
            largest_at = int(np.abs(difference).argmax())
            largest = float(difference[largest_at])
            mistakes = _mistakes(pair.real / np.float32(simulation.unit), pair.expected, difference)
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
            largest_at=largest_at,
            largest=largest,
            mistakes=mistakes,
        )


def _mistakes(level: Float32s, expected: Float32s, difference: Float32s) -> dict[Mistake, int]:
    """What counts as firing and as claimed is the same as where an explanation is executed."""
    fires, claimed = level >= FIRING_LEVEL, expected >= FIRING_LEVEL
    found = {}
    for kind, wrong, size in (
        (Mistake.FALSE_ALARM, claimed & ~fires, -difference),
        (Mistake.MISS, fires & ~claimed, difference),
    ):
        if wrong.any():
            found[kind] = int(np.where(wrong, size, -np.inf).argmax())
    return found


@dataclass(frozen=True, slots=True)
class _Pair:
    """Real and expected activations of an excerpt, or why there are not both."""

    excerpt: StoredExcerpt
    real: Float32s | None
    expected: Float32s
    failure: str | None


def _pairs(
    source: RowSource, real: Mapping[tuple[int, str, int], Float32s], simulation: StoredSimulation
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


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of an excerpt [T], 0..10, of which 1 is ``unit`` in the model's units; ``name`` says by whom."""

    name: str
    values: Float32s
    unit: float


def real_line(source: RowSource, token_ids: Sequence[int], real: Float32s, at: int) -> Markup:
    """An excerpt in the colours of its real activations, centred on the token ``at``."""
    return strip(Heat(token_ids, heat_steps(real, source.scale).tolist(), at), source.words)


def expected_line(source: RowSource, token_ids: Sequence[int], expected: Expected, at: int) -> Markup:
    """The colours of expected activations on the same scale, to stand under ``real_line``."""
    steps = simulated_steps(expected.values, expected.unit, source.scale)
    return under_strip(Heat(token_ids, steps.tolist(), at), source.words)


def numbers(source: RowSource, token_ids: Sequence[int], real: Float32s, expected: Sequence[Expected]) -> Markup:
    """The numbers of an excerpt as a table; for a single simulation also the differences, real less expected."""
    columns = [NumberColumn("Activation", real, heat_steps(real, source.scale))]
    for each in expected:
        in_units = each.values * np.float32(each.unit)
        columns.append(NumberColumn(each.name, in_units, simulated_steps(each.values, each.unit, source.scale)))
        if len(expected) == 1:
            difference = real - in_units
            columns.append(NumberColumn("Difference", difference, heat_steps(difference, source.scale)))
    return number_table(token_ids, columns, source.words)
