"""Explanations of one neuron side by side: texts, scores, expected activations on the same excerpts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.activations import FloatArray, SampleKind
from app.domain.differences import WordRun, word_difference
from app.domain.headlines import Headline
from app.domain.verdict_lines import VerdictLine
from app.queries.neurons.claims import ExplanationRow, ScoreRow
from app.queries.neurons.page import StoredSimulation
from app.web.neuron.evidence import ORDER, RowSource
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
    simulator: str | None
    """The one whose expected activations are drawn: that of the score that represents the explanation."""
    line: VerdictLine
    """What its headline means."""
    headline: Headline[ScoreRow] | None
    """Over the whole corpus with both sides, else the 2023 score."""
    difference: tuple[WordRun, ...]
    """From the first column's text to this one; empty in the first column."""


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """A score, and how far it is from the first column's; None where either is undefined."""

    score: ScoreRow
    difference: float | None


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One scorer on one sample by one simulator, a cell per column."""

    scorer: str
    sample: str
    simulator: str | None
    """None for a scorer that uses none."""
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
    explanations: Sequence[ExplanationRow], simulations: Sequence[StoredSimulation]
) -> tuple[ComparedColumn, ...]:
    """The heads of the columns; each text is held against the first."""
    return tuple(
        ComparedColumn(
            letter=LETTERS[i],
            id=explanation.id,
            text=explanation.text,
            by=explanation.by,
            created_at=explanation.created_at,
            simulator=_drawn_simulator(explanation, simulations),
            line=explanation.line,
            headline=explanation.headline,
            difference=word_difference(explanations[0].text, explanation.text) if i else (),
        )
        for i, explanation in enumerate(explanations)
    )


def _drawn_simulator(explanation: ExplanationRow, simulations: Iterable[StoredSimulation]) -> str | None:
    """The simulator of the standing score; where there is none, the one that simulated last."""
    if explanation.score_2023 is not None and explanation.score_2023.simulator is not None:
        return explanation.score_2023.simulator
    own = [s.simulator for s in simulations if s.explanation_id == explanation.id]
    return own[-1] if own else None


def simulators_differ(columns: Sequence[ComparedColumn]) -> bool:
    """Whether expected activations may differ for another reason than the texts."""
    return len({column.simulator for column in columns if column.simulator is not None}) > 1


def score_lines(explanations: Sequence[ExplanationRow]) -> tuple[ScoreLine, ...]:
    """Every scorer, sample and simulator that one of the explanations has; of repeated scores the newest.

    In stored order. Scores of different simulators are on lines of their own.
    """
    found = [{(s.scorer, s.sample, s.simulator): s for s in explanation.scores} for explanation in explanations]
    keys = dict.fromkeys(key for scores in found for key in scores)
    return tuple(ScoreLine(*key, cells=tuple(_score_cells([scores.get(key) for scores in found]))) for key in keys)


def _score_cells(scores: Sequence[ScoreRow | None]) -> Iterable[ScoreCell | None]:
    first = scores[0]
    for i, score in enumerate(scores):
        yield None if score is None else ScoreCell(score, _minus(score, first) if i else None)


def _minus(score: ScoreRow, first: ScoreRow | None) -> float | None:
    if first is None or first.value is None or score.value is None:
        return None
    return score.value - first.value


def compared_excerpts(
    source: RowSource,
    real: Mapping[tuple[int, str, int], FloatArray],
    columns: Sequence[ComparedColumn],
    simulations: Iterable[StoredSimulation],
) -> tuple[ComparedExcerpt, ...]:
    """Every excerpt that a column's simulator has simulated; of repeated simulations the newest counts.

    ``simulations`` are in the order in which they were stored.
    """
    numbers = {column.id: i for i, column in enumerate(columns)}
    drawn = (s for s in simulations if s.simulator == columns[numbers[s.explanation_id]].simulator)
    newest = {(s.explanation_id, s.split, s.kind): s for s in drawn}
    cells: dict[tuple[str, int], list[SimulatedRow | None]] = {}
    for simulation in newest.values():
        number = numbers[simulation.explanation_id]
        for row in simulated_rows(source, real, simulation):
            cells.setdefault((row.kind, row.excerpt_id), [None] * len(columns))[number] = row
    in_order = sorted(cells.items(), key=lambda item: ORDER.index(SampleKind(item[0][0])))
    return tuple(
        ComparedExcerpt(excerpt_id, kind, *_origin(source, excerpt_id), cells=tuple(row))
        for (kind, excerpt_id), row in in_order
    )


def _origin(source: RowSource, excerpt_id: int) -> tuple[str | None, int]:
    excerpt = source.excerpts[excerpt_id]
    return excerpt.document, excerpt.position
