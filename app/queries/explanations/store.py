"""Explanations with their simulations and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from app.domain.activations import NORMALISED_MAXIMUM, FloatArray, pack_activations
from app.domain.authors import AuthorKind
from app.domain.results import HEADLINE_SAMPLE, HEADLINE_SCORER, ExplanationResult, ScoreResult, SimulationResult
from app.models import Explanation, Neuron, Run, Score, Simulation
from app.queries.common.prepared import Columns, rows_of


@dataclass(frozen=True, slots=True)
class Author:
    """Who stands behind an explanation: a method's run, an import or a person."""

    kind: AuthorKind
    name: str
    method_id: int | None = None
    run_id: int | None = None
    account_id: int | None = None
    collection_id: int | None = None
    """The collection whose records were simulated."""


def store_explanation(session: Session, *, neuron_id: int, result: ExplanationResult, author: Author) -> int:
    """Insert one candidate with its simulations and scores; answers its id.

    Callers then call ``refresh_current`` once per neuron.
    """
    explanation = Explanation(
        neuron_id=neuron_id,
        text=result.text,
        author_kind=author.kind,
        author=author.name,
        method_id=author.method_id,
        run_id=author.run_id,
        account_id=author.account_id,
        provenance=dict(result.provenance),
    )
    session.add(explanation)
    session.flush()  # the rows below need its id
    add_results(session, explanation_id=explanation.id, result=result, author=author)
    return explanation.id


def add_results(session: Session, *, explanation_id: int, result: ExplanationResult, author: Author) -> None:
    """Insert simulations and scores of an explanation that is stored already; ``author`` made these, not the text.

    Callers then call ``refresh_current`` once per neuron.
    """
    session.add_all(_simulation_row(explanation_id, s, author) for s in result.simulations)
    session.add_all(_score_row(explanation_id, s, author) for s in result.scores)


def _simulation_row(explanation_id: int, result: SimulationResult, author: Author) -> Simulation:
    rows = [np.full(e.length, np.nan, dtype=np.float32) if e.expected is None else e.expected for e in result.excerpts]
    distributions = [(e.distribution, e.length * (NORMALISED_MAXIMUM + 1)) for e in result.excerpts]
    uncalibrated = [(e.uncalibrated, e.length) for e in result.excerpts]
    return Simulation(
        explanation_id=explanation_id,
        method_id=author.method_id,
        run_id=author.run_id,
        collection_id=author.collection_id,
        simulator=result.simulator,
        kind=result.kind,
        split=result.split,
        excerpt_ids=[e.excerpt_id for e in result.excerpts],
        expected=pack_activations(rows),
        distributions=_packed_where_known(distributions),
        uncalibrated=_packed_where_known(uncalibrated),
        failures={str(place): e.failure for place, e in enumerate(result.excerpts) if e.failure is not None},
    )


def _packed_where_known(rows: Sequence[tuple[FloatArray | None, int]]) -> bytes | None:
    """Each row, or as many NaN as it would be long; None where no row is known."""
    if all(row is None for row, _ in rows):
        return None
    return pack_activations([np.full(n, np.nan, np.float32) if row is None else row.ravel() for row, n in rows])


def _score_row(explanation_id: int, result: ScoreResult, author: Author) -> Score:
    low, high = result.interval if result.interval is not None else (None, None)
    return Score(
        explanation_id=explanation_id,
        method_id=author.method_id,
        run_id=author.run_id,
        scorer=result.scorer,
        sample=result.sample,
        value=result.value,
        undefined_reason=result.undefined_reason,
        interval_low=low,
        interval_high=high,
        n_valid=result.n_valid,
        n_failed=result.n_failed,
        token_lookup_baseline=result.token_lookup_baseline,
        shuffled_baseline=result.shuffled_baseline,
        chance=result.chance,
    )


@dataclass(frozen=True, slots=True)
class GivenText:
    """An explanation that a run is to score."""

    explanation_id: int
    text: str


def text_to_score(session: Session, *, run_id: int) -> GivenText | None:
    """The explanation that a run is to score; None where the run is to explain. One query."""
    row = session.execute(
        select(Explanation.id, Explanation.text).join(Run, Run.explanation_id == Explanation.id).where(Run.id == run_id)
    ).first()
    return None if row is None else GivenText(row.id, row.text)


# Statements are built once: building them costs more than running them.
_LOCK = Columns(select(Neuron.id).where(Neuron.id == bindparam("neuron_id")).with_for_update(key_share=True))
_EARLIER = aliased(Explanation)
_BEST = Columns(
    select(Explanation.id, Explanation.text, Score.value)
    .outerjoin(
        Score,
        (Score.explanation_id == Explanation.id)
        & (Score.scorer == HEADLINE_SCORER)
        & (Score.sample == HEADLINE_SAMPLE),
    )
    .where(
        Explanation.neuron_id == bindparam("neuron_id"),
        ~exists().where(_EARLIER.run_id == Explanation.run_id, _EARLIER.id < Explanation.id),
    )
    .order_by(Score.value.desc().nulls_last(), Explanation.id.desc())
    .limit(1)
)
_CURRENT = (
    update(Neuron)
    .where(Neuron.id == bindparam("neuron_id"))
    .values(
        current_explanation_id=bindparam("new_id"),
        current_text=bindparam("new_text"),
        current_score=bindparam("new_score"),
        n_explanations=select(func.count()).where(Explanation.neuron_id == Neuron.id).scalar_subquery(),
    )
)


def refresh_current(session: Session, *, neuron_id: int) -> None:
    """Let the neuron's ``current_*`` repeat its best explanation.

    Best is the highest headline score; then the newest. Of the candidates of one run only the first
    stands for it, the one that the run preferred before anything was scored: the best of several
    scores on the same few records would flatter the neuron. Without any explanation they are empty.
    """
    # Whoever comes second waits here, and then sees the first one's explanations too.
    _, best = rows_of(session, _LOCK.given(neuron_id=neuron_id), _BEST.given(neuron_id=neuron_id))
    explanation_id, words, score = best[0] if best else (None, None, None)
    new = {"new_id": explanation_id, "new_text": words, "new_score": score}
    session.connection().execute(_CURRENT, {"neuron_id": neuron_id, **new})
