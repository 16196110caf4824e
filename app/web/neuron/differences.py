"""Real against expected activations, the largest difference first; all excerpts, or those where a text fails."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from app.domain.executed import Mistake
from app.web.neuron.checks import TITLES, CheckShown, MistakenExcerpt
from app.web.neuron.evidence import SHOWN_FIRST, Line, RowSource, text_around, token_at
from app.web.neuron.simulations import Expected, SimulatedRow, SimulationShown, expected_line, real_line


class Show(StrEnum):
    """What the evidence of a neuron's page shows."""

    REAL = "real"
    EXPECTED = "expected"
    FAILURES = "failures"

    @property
    def label(self) -> str:
        """The name that the page shows."""
        return _LABELS[self]


_LABELS = {Show.REAL: "Real", Show.EXPECTED: "Real and expected", Show.FAILURES: "Where it fails"}


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """An excerpt around the token ``at``, with both activations there in the model's units."""

    excerpt_id: int
    kind: str | None
    """The sample that it comes from; None for an excerpt that executing the explanation has found."""
    document: str | None
    position: int
    token: str
    around: str
    real: float
    expected: float
    real_line: Line
    expected_line: Line
    failure: str | None = None
    """Why there is no expected activation."""

    @property
    def difference(self) -> float:
        """Real minus expected."""
        return self.real - self.expected


@dataclass(frozen=True, slots=True)
class DifferenceGroup:
    """Rows under one heading. ``n_rows`` are all there are, of which some are shown."""

    key: str
    title: str
    note: str
    rows: tuple[DifferenceRow, ...]
    n_rows: int


@dataclass(frozen=True, slots=True)
class _Widest:
    """An excerpt, the position of its token with the largest difference, and that difference's size."""

    row: SimulatedRow | MistakenExcerpt
    at: int
    size: float


def difference_groups(
    source: RowSource,
    show: Show,
    simulations: Sequence[SimulationShown],
    check: CheckShown | None,
    more: Collection[str],
) -> tuple[DifferenceGroup, ...]:
    """What ``show`` asks for; groups named in ``more`` are whole. Nothing for ``Show.REAL``."""
    if show is Show.EXPECTED:
        return tuple(_of_simulator(source, each, more) for each in simulations)
    if show is Show.FAILURES:
        rows = [row for each in simulations for row in each.rows]
        return tuple(group for kind in TITLES if (group := _of_mistake(source, kind, rows, check, more)).n_rows)
    return ()


def _of_simulator(source: RowSource, simulation: SimulationShown, more: Collection[str]) -> DifferenceGroup:
    widest = [_Widest(row, row.largest_at, abs(row.largest)) for row in simulation.rows]
    widest.sort(key=lambda each: (each.row.failure is not None, -each.size))  # type: ignore[union-attr]  # all simulated
    key = f"{simulation.simulator}-{simulation.split}"
    note = f"{simulation.split} excerpts, simulator {simulation.simulator}"
    return _group(source, key, "Real and expected activations", note, widest, more)


def _of_mistake(
    source: RowSource,
    kind: Mistake,
    rows: Sequence[SimulatedRow],
    check: CheckShown | None,
    more: Collection[str],
) -> DifferenceGroup:
    """Excerpts that executing the text has found, and scored ones; each once."""
    found: dict[int, _Widest] = {}
    for mistaken in _executed(kind, check):
        found[mistaken.excerpt_id] = _Widest(mistaken, mistaken.at, abs(mistaken.difference))
    for row in rows:
        at = row.mistakes.get(kind)
        if at is not None and row.excerpt_id not in found:
            found[row.excerpt_id] = _Widest(row, at, abs(_difference(row, at)))
    widest = sorted(found.values(), key=lambda each: -each.size)
    return _group(source, kind.value, TITLES[kind], "", widest, more)


def _executed(kind: Mistake, check: CheckShown | None) -> tuple[MistakenExcerpt, ...]:
    stored = () if check is None else check.mistakes
    return next((mistakes.rows for mistakes in stored if mistakes.kind is kind), ())


def _difference(row: SimulatedRow, at: int) -> float:
    if row.activations is None or row.expected is None:
        return 0.0
    return row.activations[at] - row.expected[at] * row.unit


def _group(
    source: RowSource, key: str, title: str, note: str, widest: Sequence[_Widest], more: Collection[str]
) -> DifferenceGroup:
    shown = widest if key in more else widest[:SHOWN_FIRST]
    return DifferenceGroup(key, title, note, tuple(_rows(source, shown)), len(widest))


def _rows(source: RowSource, widest: Sequence[_Widest]) -> Iterator[DifferenceRow]:
    for each in widest:
        row, at = each.row, each.at
        values, levels = row.activations, row.expected
        token_ids = source.excerpts[row.excerpt_id].token_ids
        if values is None or levels is None:
            values, levels, at = [0.0], [0.0], 0
        failure = row.failure if isinstance(row, SimulatedRow) else None
        real, expected = np.array(values, np.float32), Expected("Expected", np.array(levels, np.float32), row.unit)
        yield DifferenceRow(
            excerpt_id=row.excerpt_id,
            kind=row.kind if isinstance(row, SimulatedRow) else None,
            document=row.document,
            position=row.position,
            token=token_at(row.tokens, at),
            around=text_around(row.tokens, at),
            real=values[at],
            expected=levels[at] * row.unit,
            real_line="" if failure else real_line(source, token_ids, real, at),
            expected_line="" if failure else expected_line(source, token_ids, expected, at),
            failure=failure,
        )
