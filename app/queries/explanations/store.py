"""Explanations with their simulations and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from psycopg.types.json import Jsonb
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.domain.activations import NORMALISED_MAXIMUM, pack_activations
from app.domain.arrays import Float32s
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult, SimulationResult
from app.domain.standing import FIRST_CANDIDATE
from app.models import Explanation, Run, Score, Simulation
from app.queries.common.prepared import PreparedWrite, one_round_trip


@dataclass(frozen=True, slots=True)
class Author:
    """Who made an explanation or its scores: a method's run, an import or a person."""

    kind: AuthorKind
    name: str
    method_id: int | None = None
    run_id: int | None = None
    account_id: int | None = None
    collection_id: int | None = None
    """The collection whose records were used; None for a text that was made from none."""


_BY_THE_DATABASE = frozenset({"id", "created_at"})
# Built once at import: building these statements takes longer than executing them.
_SIMULATION = PreparedWrite(
    insert(Simulation), columns=[c.name for c in Simulation.__table__.columns if c.name not in _BY_THE_DATABASE]
)
_SCORE = PreparedWrite(
    insert(Score),
    columns=[c.name for c in Score.__table__.columns if c.name not in {*_BY_THE_DATABASE, "origin"}],  # of imports
)


def store_candidates(
    session: Session, *, neuron_id: int, results: Sequence[ExplanationResult], author: Author
) -> list[int]:
    """Insert a run's candidates in the method's order, with their simulations and scores; returns their ids.

    Callers then call ``refresh_current`` once per neuron.
    """
    return [_store(session, neuron_id, result, author, rank) for rank, result in enumerate(results)]


def store_explanation(session: Session, *, neuron_id: int, result: ExplanationResult, author: Author) -> int:
    """Insert one text with its simulations and scores; returns its id.

    Callers then call ``refresh_current`` once per neuron.
    """
    return _store(session, neuron_id, result, author, 0)


def _store(session: Session, neuron_id: int, result: ExplanationResult, author: Author, rank: int) -> int:
    explanation = Explanation(
        neuron_id=neuron_id,
        text=result.text,
        author_kind=author.kind,
        author=author.name,
        method_id=author.method_id,
        run_id=author.run_id,
        rank=rank,
        collection_id=author.collection_id,
        account_id=author.account_id,
        provenance=dict(result.provenance),
    )
    session.add(explanation)
    session.flush()  # the rows below need its id
    add_results(session, explanation_id=explanation.id, result=result, author=author)
    return explanation.id


def same_text(session: Session, *, neuron_id: int, text: str, author: Author) -> int | None:
    """The explanation by which the same method represented another run on the same records, if its text is the same.

    The first one if there are several; None if there is none. One query.
    """
    return session.scalar(
        select(Explanation.id)
        .where(
            Explanation.neuron_id == neuron_id,
            Explanation.method_id == author.method_id,
            Explanation.collection_id.is_not_distinct_from(author.collection_id),
            Explanation.rank == FIRST_CANDIDATE,
            Explanation.text == text,
        )
        .order_by(Explanation.id)
        .limit(1)
    )


def has_scores(session: Session, *, explanation_id: int, result: ExplanationResult) -> bool:
    """Whether each score of a result equals the newest stored one of its name and simulator. One query."""
    rows = session.execute(
        select(Score.scorer, Score.sample, Score.simulator, Score.value)
        .where(Score.explanation_id == explanation_id)
        .order_by(Score.id)
    )
    newest = {(row.scorer, row.sample, row.simulator): row.value for row in rows}
    missing = object()
    return all(newest.get((s.scorer, s.sample, s.simulator), missing) == s.value for s in result.scores)


def add_results(session: Session, *, explanation_id: int, result: ExplanationResult, author: Author) -> None:
    """Insert simulations and scores of a stored explanation; ``author`` made these, not the text.

    Callers then call ``refresh_current`` once per neuron.
    """
    with one_round_trip(session) as trip:
        trip.change(_SIMULATION, *(_simulation_row(explanation_id, s, author) for s in result.simulations))
        trip.change(_SCORE, *(_score_row(explanation_id, s, author) for s in result.scores))


def _simulation_row(explanation_id: int, result: SimulationResult, author: Author) -> dict[str, object]:
    rows = [np.full(e.length, np.nan, dtype=np.float32) if e.expected is None else e.expected for e in result.excerpts]
    distributions = [(e.distribution, e.length * (NORMALISED_MAXIMUM + 1)) for e in result.excerpts]
    uncalibrated = [(e.uncalibrated, e.length) for e in result.excerpts]
    return {
        "explanation_id": explanation_id,
        "method_id": author.method_id,
        "run_id": author.run_id,
        "collection_id": author.collection_id,
        "simulator": result.simulator,
        "kind": str(result.kind),
        "split": str(result.split),
        "unit": result.unit,
        "excerpt_ids": [e.excerpt_id for e in result.excerpts],
        "expected": pack_activations(rows),
        "distributions": _packed_where_known(distributions),
        "uncalibrated": _packed_where_known(uncalibrated),
        "failures": Jsonb({str(index): e.failure for index, e in enumerate(result.excerpts) if e.failure is not None}),
    }


def _packed_where_known(rows: Sequence[tuple[Float32s | None, int]]) -> bytes | None:
    """The rows concatenated, unknown ones as NaN; None if no row is known."""
    if all(row is None for row, _ in rows):
        return None
    return pack_activations([np.full(n, np.nan, np.float32) if row is None else row.ravel() for row, n in rows])


def _score_row(explanation_id: int, result: ScoreResult, author: Author) -> dict[str, object]:
    low, high = result.interval if result.interval is not None else (None, None)
    return {
        "explanation_id": explanation_id,
        "method_id": author.method_id,
        "run_id": author.run_id,
        "collection_id": author.collection_id,
        "scorer": result.scorer,
        "sample": result.sample,
        "simulator": result.simulator,
        "value": result.value,
        "undefined_reason": result.undefined_reason,
        "interval_low": low,
        "interval_high": high,
        "n_valid": result.n_valid,
        "n_failed": result.n_failed,
        "token_lookup_baseline": result.token_lookup_baseline,
        "shuffled_baseline": result.shuffled_baseline,
        "chance": result.chance,
    }


@dataclass(frozen=True, slots=True)
class GivenText:
    """An explanation that a run is to score."""

    explanation_id: int
    text: str


def text_to_score(session: Session, *, run_id: int) -> GivenText | None:
    """The explanation that a run is to score; None if the run is to explain. One query."""
    row = session.execute(
        select(Explanation.id, Explanation.text).join(Run, Run.explanation_id == Explanation.id).where(Run.id == run_id)
    ).first()
    return None if row is None else GivenText(row.id, row.text)
