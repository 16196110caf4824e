"""The results of runs: the text that represents each, the scores that it computed, and the change that it made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, case, func, literal_column, select
from sqlalchemy.orm import Session, aliased

from app.domain.explanation_states import ExplanationState
from app.domain.headlines import Headline, headline_of
from app.domain.standing import FIRST_CANDIDATE, SCORE_2023, standing_score
from app.domain.verdict_lines import VerdictLine, verdict_line
from app.domain.work import WorkStatus
from app.models import Explanation, Run, RunChange
from app.queries.common.prepared import one_statement
from app.queries.doubts.shown import OF_EXPLANATIONS, doubts_by_explanation
from app.queries.explanations.judged import ITEMS_OF_EXPLANATIONS, states_by_explanation
from app.queries.neurons.claims import ScoreRow, send_scores_of_runs
from app.queries.runs.changes import OUTCOMES, RunOutcome


@dataclass(frozen=True, slots=True)
class RunResult:
    """The explanation that represents a run: its first candidate, or the text that it was queued to score."""

    explanation_id: int
    text: str
    score: float | None
    """The 2023 score that this run computed; later scores of the text are on the text's own page."""
    simulator: str | None
    """The simulator of the scores."""
    headline: Headline[ScoreRow] | None
    """The headline, from the executed score and the scores that this run computed."""
    line: VerdictLine
    """The verdict line, with the text's present doubts."""
    state: ExplanationState | None
    """The text's present state in review; None if nobody has flagged or judged it."""


@dataclass(frozen=True, slots=True)
class RunMade:
    """The results of a successful run; either is None if it has no text."""

    result: RunResult | None
    outcome: RunOutcome | None


# Built once at import: an alias costs more than the query.
_CANDIDATE = aliased(Explanation)


def with_texts(runs: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Runs, with ``measured_by``, ``explanation_id`` and ``text`` of the explanation that represents each."""
    first = (
        select(_CANDIDATE.id).where(_CANDIDATE.run_id == Run.id, _CANDIDATE.rank == FIRST_CANDIDATE).scalar_subquery()
    )
    text_id = func.coalesce(Run.explanation_id, first, RunChange.explanation_id)
    succeeded = Run.status == literal_column(repr(str(WorkStatus.SUCCEEDED)))
    # A repeated text was scored by the run that gave it first.
    measured_by = case((RunChange.is_copy, Explanation.run_id), else_=Run.id)
    return (
        runs.add_columns(
            measured_by.label("measured_by"), Explanation.id.label("text_id"), Explanation.text.label("text")
        )
        .outerjoin(RunChange, RunChange.run_id == Run.id)
        .outerjoin(Explanation, and_(succeeded, Explanation.id == text_id))
    )


def made_by_runs(session: Session, rows: Sequence[Any]) -> Mapping[int, RunMade]:
    """The results of the runs of these rows, which were read ``with_texts``, by the run's id. One query."""
    texts = {row.Run.id: row for row in rows if row.text_id is not None}
    if not texts:
        return {}
    ids = sorted({row.text_id for row in texts.values()})
    with one_statement(session) as asked:
        scores = send_scores_of_runs(asked, {row.measured_by: row.text_id for row in texts.values()})
        raised = asked.send(OF_EXPLANATIONS.given(explanation_ids=ids))
        items = asked.send(ITEMS_OF_EXPLANATIONS.given(explanation_ids=ids))
        changed = asked.send(OUTCOMES.given(run_ids=sorted(texts)))
    found, doubts, states = scores.found(), doubts_by_explanation(raised.rows), states_by_explanation(items.rows)
    outcomes = {row.run_id: row.outcome for row in changed.rows}
    made = {}
    for run_id, row in texts.items():
        measured = found[row.measured_by]
        old = standing_score(measured, SCORE_2023, made_by_method=True)
        headline = headline_of(measured, made_by_method=True)
        result = RunResult(
            explanation_id=row.text_id,
            text=row.text,
            score=None if old is None else old.value,
            simulator=None if old is None else old.simulator,
            headline=headline,
            line=verdict_line(headline, doubts.get(row.text_id, ())),
            state=states.get(row.text_id),
        )
        made[run_id] = RunMade(result, outcomes.get(run_id))
    return made
