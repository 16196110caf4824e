"""Explanations of one neuron side by side: texts, scores, expected activations on the same excerpts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from app.domain.activations import SampleKind
from app.domain.arrays import Float32s
from app.domain.comparisons import PairedDifference, paired_difference
from app.domain.differences import WordRun, word_difference
from app.domain.explanation_states import ExplanationState
from app.domain.headlines import Headline
from app.domain.standing import SCORE_2023
from app.domain.steps.scored_records import SAMPLES
from app.domain.verdict_lines import VerdictLine
from app.queries.neurons.claims import ExplanationRow, ScoreRow
from app.queries.neurons.page import StoredSimulation
from app.web.neuron.evidence import Line, RowSource, text_around, token_at
from app.web.neuron.simulations import Expected, SimulatedRow, expected_line, real_line, simulated_rows

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
    """The simulator whose expected activations are drawn: that of the score that represents the explanation."""
    line: VerdictLine
    """The verdict line of the explanation."""
    state: ExplanationState | None
    """The explanation's state in review; None if nobody has flagged or judged it."""
    headline: Headline[ScoreRow] | None
    """Over the whole corpus with both sides, else the 2023 score."""
    difference: tuple[WordRun, ...]
    """From the first column's text to this one; empty in the first column."""


@dataclass(frozen=True, slots=True)
class AgainstFirst:
    """A column against the first one, on the excerpts that both were scored on."""

    letter: str
    result: PairedDifference


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

    @property
    def is_2023(self) -> bool:
        """Whether it is the 2023 score."""
        return (self.scorer, self.sample) == (SCORE_2023.scorer, SCORE_2023.sample)


@dataclass(frozen=True, slots=True)
class ComparedStrip:
    """What one explanation expects of an excerpt: a strip under the excerpt, or why there is none."""

    letter: str
    expected: list[float] | None
    """Expected activations, 0..10, or beyond if calibrated."""
    unit: float | None
    error: float | None
    """The mean distance of expected and real activation, in the model's units."""
    failure: str | None
    line: Line


@dataclass(frozen=True, slots=True)
class ComparedExcerpt:
    """One scored excerpt with a strip for each column that has simulated it."""

    excerpt_id: int
    kind: str
    document: str | None
    position: int
    tokens: list[str]
    activations: list[float]
    at: int
    """The token on which the explanations disagree most; with one strip, the one with the largest error."""
    disagreement: float
    """The difference of the highest and lowest expected activation on it, in the model's units."""
    strips: tuple[ComparedStrip, ...]
    line: Line

    @property
    def token(self) -> str:
        """The text of the token ``at``."""
        return token_at(self.tokens, self.at)

    @property
    def around(self) -> str:
        """The text around it, for the name of the folded row."""
        return text_around(self.tokens, self.at)

    @property
    def nearest(self) -> str | None:
        """The letter of the column whose expected activations are nearest; None where there are not two."""
        errors = [(strip.error, strip.letter) for strip in self.strips if strip.error is not None]
        if len(errors) < 2 or min(errors)[0] == max(errors)[0]:
            return None
        return min(errors)[1]


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
            state=explanation.state,
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
    real: Mapping[tuple[int, str, int], Float32s],
    columns: Sequence[ComparedColumn],
    simulations: Iterable[StoredSimulation],
) -> tuple[ComparedExcerpt, ...]:
    """Every excerpt that a column's simulator has simulated, those first on which the explanations disagree most.

    Of repeated simulations the newest counts. ``simulations`` are in the order in which they were stored.
    """
    numbers = {column.id: i for i, column in enumerate(columns)}
    drawn = (s for s in simulations if s.simulator == columns[numbers[s.explanation_id]].simulator)
    newest = {(s.explanation_id, s.split, s.kind): s for s in drawn}
    cells: dict[tuple[str, int], dict[str, SimulatedRow]] = {}
    for simulation in newest.values():
        letter = columns[numbers[simulation.explanation_id]].letter
        for row in simulated_rows(source, real, simulation):
            cells.setdefault((row.kind, row.excerpt_id), {})[letter] = row
    excerpts = [_excerpt(source, rows) for rows in cells.values()]
    return tuple(sorted(excerpts, key=lambda excerpt: -excerpt.disagreement))


def against_first(
    columns: Sequence[ComparedColumn], excerpts: Sequence[ComparedExcerpt], *, is_one_simulator: bool
) -> tuple[AgainstFirst, ...]:
    """Each further column against the first, on the top and random excerpts of the 2023 score.

    Empty where simulators differ: what they expect cannot be compared.
    """
    if not is_one_simulator:
        return ()
    return tuple(AgainstFirst(c.letter, _paired(columns[0].letter, c.letter, excerpts)) for c in columns[1:])


def _paired(first: str, second: str, excerpts: Sequence[ComparedExcerpt]) -> PairedDifference:
    kinds = SAMPLES[SCORE_2023.sample]
    real, pairs, strata = [], [], []
    for excerpt in excerpts:
        strips = {strip.letter: strip for strip in excerpt.strips if strip.expected is not None}
        if excerpt.kind not in kinds or not {first, second} <= strips.keys():
            continue
        real.append(np.array(excerpt.activations, dtype=np.float32))
        pairs.append([np.array(strips[letter].expected, dtype=np.float32) for letter in (first, second)])
        strata.append(list(kinds).index(SampleKind(excerpt.kind)))
    return paired_difference(real, ([one for one, _ in pairs], [other for _, other in pairs]), strata)


def _excerpt(source: RowSource, rows: Mapping[str, SimulatedRow]) -> ComparedExcerpt:
    first = next(iter(rows.values()))
    token_ids = source.excerpts[first.excerpt_id].token_ids
    stored = next((row.activations for row in rows.values() if row.activations is not None), None)
    real = np.array(stored or [0.0] * len(token_ids), dtype=np.float32)
    in_units = [np.array(r.expected, np.float32) * np.float32(r.unit) for r in rows.values() if r.expected is not None]
    spread = _spread(real, in_units)
    at = int(spread.argmax()) if spread.size else 0
    return ComparedExcerpt(
        excerpt_id=first.excerpt_id,
        kind=first.kind,
        document=first.document,
        position=first.position,
        tokens=first.tokens,
        activations=real.tolist(),
        at=at,
        disagreement=float(spread.max(initial=0.0)),
        strips=tuple(_strip(source, letter, row, real, at) for letter, row in sorted(rows.items())),
        line=real_line(source, token_ids, real, at),
    )


def _spread(real: Float32s, expected: Sequence[Float32s]) -> Float32s:
    """How far apart expected activations are on each token [T]; a single row is held against the real ones."""
    rows = expected if len(expected) > 1 else [real, *expected]
    return np.asarray(np.max(rows, axis=0) - np.min(rows, axis=0), dtype=np.float32)


def _strip(source: RowSource, letter: str, row: SimulatedRow, real: Float32s, at: int) -> ComparedStrip:
    if row.expected is None:
        return ComparedStrip(letter, None, None, None, row.failure, "")
    expected = Expected(letter, np.array(row.expected, np.float32), row.unit)
    error = float(np.abs(expected.values * np.float32(row.unit) - real).mean()) if real.size else 0.0
    line = expected_line(source, source.excerpts[row.excerpt_id].token_ids, expected, at)
    return ComparedStrip(letter, row.expected, row.unit, error, None, line)
