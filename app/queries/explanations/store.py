"""Explanations with their simulations and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from app.domain.activations import NORMALISED_MAXIMUM, FloatArray, pack_activations
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult, SimulationResult
from app.domain.standing import SCORE_2023, shown_first, standing_score
from app.models import Explanation, Neuron, Run, Score, Simulation
from app.queries.common.prepared import PreparedSelect, one_round_trip


@dataclass(frozen=True, slots=True)
class Author:
    """Who made an explanation, or its scores: a method's run, an import or a person."""

    kind: AuthorKind
    name: str
    method_id: int | None = None
    run_id: int | None = None
    account_id: int | None = None
    collection_id: int | None = None
    """The collection whose records were read; None for a text that was made from none."""


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
        unit=result.unit,
        excerpt_ids=[e.excerpt_id for e in result.excerpts],
        expected=pack_activations(rows),
        distributions=_packed_where_known(distributions),
        uncalibrated=_packed_where_known(uncalibrated),
        failures={str(index): e.failure for index, e in enumerate(result.excerpts) if e.failure is not None},
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
        collection_id=author.collection_id,
        scorer=result.scorer,
        sample=result.sample,
        simulator=result.simulator,
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


@dataclass(frozen=True, slots=True)
class _Locked:
    id: int


@dataclass(frozen=True, slots=True)
class _Text:
    """An explanation as the rules need it."""

    id: int
    text: str
    rank: int
    method_id: int | None
    collection_id: int | None


@dataclass(frozen=True, slots=True)
class _Score:
    """A score as the rules need it."""

    id: int
    explanation_id: int
    scorer: str
    sample: str
    simulator: str | None
    value: float | None


# Statements are built once: building them costs more than running them.
_LOCK = PreparedSelect(
    _Locked, select(Neuron.id).where(Neuron.id == bindparam("neuron_id")).with_for_update(key_share=True)
)
_TEXTS = PreparedSelect(
    _Text,
    select(
        Explanation.id,
        Explanation.text,
        Explanation.rank,
        Explanation.method_id,
        Explanation.collection_id,
    ).where(Explanation.neuron_id == bindparam("neuron_id")),
)
_SCORES = PreparedSelect(
    _Score,
    select(Score.id, Score.explanation_id, Score.scorer, Score.sample, Score.simulator, Score.value)
    .join(Explanation, Explanation.id == Score.explanation_id)
    .where(
        Explanation.neuron_id == bindparam("neuron_id"),
        Score.scorer == bindparam("scorer"),
        Score.sample == bindparam("sample"),
    )
    .order_by(Score.id),
)
_CURRENT = (
    update(Neuron)
    .where(Neuron.id == bindparam("neuron_id"))
    .values(
        current_explanation_id=bindparam("new_id"),
        current_text=bindparam("new_text"),
        current_score_id=bindparam("new_score_id"),
        current_score=bindparam("new_score"),
        current_simulator=bindparam("new_simulator"),
        n_explanations=bindparam("new_number"),
    )
)


def refresh_current(session: Session, *, neuron_id: int) -> None:
    """Set the neuron's ``current_*`` to the explanation that is shown first and the score that stands for it.

    The rules are those of ``app.domain.standing``. Without any explanation the columns are empty.
    """
    with one_round_trip(session) as trip:
        # Whoever comes second waits here, and then sees the first one's explanations too.
        trip.send(_LOCK.given(neuron_id=neuron_id))
        texts = trip.send(_TEXTS.given(neuron_id=neuron_id))
        scores = trip.send(_SCORES.given(neuron_id=neuron_id, scorer=SCORE_2023.scorer, sample=SCORE_2023.sample))
    found = texts.rows
    standing = _standing_scores(found, scores.rows)
    first = shown_first(found, lambda text: (score := standing[text.id]) is not None and score.value is not None)
    score = None if first is None else standing[first.id]
    new = {
        "new_id": None if first is None else first.id,
        "new_text": None if first is None else first.text,
        "new_score_id": None if score is None else score.id,
        "new_score": None if score is None else score.value,
        "new_simulator": None if score is None else score.simulator,
        "new_number": len(found),
    }
    session.connection().execute(_CURRENT, {"neuron_id": neuron_id, **new})


def _standing_scores(texts: Sequence[_Text], scores: Sequence[_Score]) -> dict[int, _Score | None]:
    """The score that stands for each text, by the text's id."""
    of_text: dict[int, list[_Score]] = {text.id: [] for text in texts}
    for score in scores:
        of_text[score.explanation_id].append(score)
    return {
        text.id: standing_score(of_text[text.id], SCORE_2023, made_by_method=text.method_id is not None)
        for text in texts
    }
