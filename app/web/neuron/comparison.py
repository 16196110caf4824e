"""Explanations of one neuron beside each other: their texts, their scores, what each expects of the same excerpts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.activations import FloatArray, SampleKind
from app.domain.differences import WordRun, word_difference
from app.queries.explanations.comparison import ComparedSimulation
from app.queries.neurons.claims import CandidateRow, ScoreRow
from app.web.neuron.evidence import ORDER, Evidence
from app.web.neuron.simulations import SimulatedRow, simulated_rows

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """One explanation, at the head of its column."""

    letter: str
    id: int
    text: str
    by: str
    created_at: datetime
    simulators: tuple[str, ...]
    difference: tuple[WordRun, ...]
    """From the first column's text to this one; empty in the first column."""


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """A score, and how far it is from the first column's; None where either is undefined or simulators differ."""

    score: ScoreRow
    difference: float | None


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One scorer on one sample, a cell per column."""

    scorer: str
    sample: str
    cells: tuple[ScoreCell | None, ...]


@dataclass(frozen=True, slots=True)
class ComparedExcerpt:
    """One scored excerpt, a cell per column; None where it was not simulated."""

    excerpt_id: int
    kind: str
    document: str | None
    position: int
    cells: tuple[SimulatedRow | None, ...]


def compared_columns(
    candidates: Sequence[CandidateRow], simulations: Iterable[ComparedSimulation]
) -> tuple[ComparedColumn, ...]:
    """The heads of the columns; each text is held against the first."""
    names: dict[int, dict[str, None]] = {candidate.id: {} for candidate in candidates}
    for simulation in simulations:
        names[simulation.explanation_id][simulation.stored.simulator] = None
    return tuple(
        ComparedColumn(
            letter=LETTERS[place],
            id=candidate.id,
            text=candidate.text,
            by=candidate.by,
            created_at=candidate.created_at,
            simulators=tuple(names[candidate.id]),
            difference=word_difference(candidates[0].text, candidate.text) if place else (),
        )
        for place, candidate in enumerate(candidates)
    )


def simulators_differ(columns: Sequence[ComparedColumn]) -> bool:
    """Whether scores may differ for another reason than the texts."""
    return len({column.simulators for column in columns if column.simulators}) > 1


def score_lines(candidates: Sequence[CandidateRow], columns: Sequence[ComparedColumn]) -> tuple[ScoreLine, ...]:
    """Every scorer and sample that one of the explanations has, in stored order; of repeated scores the newest."""
    found = [{(s.scorer, s.sample): s for s in candidate.scores} for candidate in candidates]
    keys = dict.fromkeys(key for scores in found for key in scores)
    return tuple(ScoreLine(*key, cells=tuple(_score_cells(key, found, columns))) for key in keys)


def _score_cells(
    key: tuple[str, str], found: Sequence[Mapping[tuple[str, str], ScoreRow]], columns: Sequence[ComparedColumn]
) -> Iterable[ScoreCell | None]:
    first = found[0].get(key)
    for place, scores in enumerate(found):
        score = scores.get(key)
        same = place > 0 and columns[place].simulators == columns[0].simulators
        yield None if score is None else ScoreCell(score, _minus(score, first) if same else None)


def _minus(score: ScoreRow, first: ScoreRow | None) -> float | None:
    if first is None or first.value is None or score.value is None:
        return None
    return score.value - first.value


def compared_excerpts(
    evidence: Evidence,
    real: Mapping[tuple[int, str, int], FloatArray],
    columns: Sequence[ComparedColumn],
    simulations: Iterable[ComparedSimulation],
) -> tuple[ComparedExcerpt, ...]:
    """Every excerpt that was simulated for one of the columns; of repeated simulations the newest counts."""
    places = {column.id: place for place, column in enumerate(columns)}
    cells: dict[tuple[str, int], list[SimulatedRow | None]] = {}
    for simulation in simulations:
        for row in simulated_rows(evidence, real, simulation.stored):
            line = cells.setdefault((row.kind, row.excerpt_id), [None] * len(columns))
            line[places[simulation.explanation_id]] = row
    in_order = sorted(cells.items(), key=lambda item: ORDER.index(SampleKind(item[0][0])))
    return tuple(
        ComparedExcerpt(excerpt_id, kind, *_place(evidence, excerpt_id), cells=tuple(row))
        for (kind, excerpt_id), row in in_order
    )


def _place(evidence: Evidence, excerpt_id: int) -> tuple[str | None, int]:
    excerpt = evidence.excerpts[excerpt_id]
    return excerpt.document, excerpt.position
