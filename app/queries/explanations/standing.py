"""The representatives by the rules of ``app.domain.standing``: stored with neurons and methods, or found in SQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import bindparam, case, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.selectable import LateralFromClause

from app.domain.standing import SCORE_2023, ScoreName, shown_first, standing_score
from app.models import Explanation, Neuron, RejectedExplanation, Score
from app.queries.common.prepared import PreparedSelect, one_round_trip
from app.queries.doubts.store import refresh_doubts


def score_standing_for(explanation: Any, name: ScoreName) -> LateralFromClause:
    """The score of this name that represents ``explanation``, a table or an alias of the enclosing statement.

    A lateral subquery of one row or none, with ``id``, ``value``, ``simulator``, ``interval_low`` and
    ``interval_high``: join it ``ON true``. See ``standing_score``.
    """
    named, score = aliased(Score), aliased(Score)
    age = case((explanation.method_id.is_(None), -named.id), else_=named.id)
    simulator = (
        select(named.simulator)
        .where(named.explanation_id == explanation.id, named.scorer == name.scorer, named.sample == name.sample)
        .order_by(age)
        .limit(1)
        .correlate(explanation)
        .scalar_subquery()
    )
    return (
        select(score.id, score.value, score.simulator, score.interval_low, score.interval_high)
        .where(
            score.explanation_id == explanation.id,
            score.scorer == name.scorer,
            score.sample == name.sample,
            score.simulator.is_not_distinct_from(simulator),
        )
        .order_by(score.id.desc())
        .limit(1)
        .correlate(explanation)
        .lateral()
    )


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
    is_rejected: bool


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
        RejectedExplanation.explanation_id.is_not(None).label("is_rejected"),
    )
    .outerjoin(RejectedExplanation, RejectedExplanation.explanation_id == Explanation.id)
    .where(Explanation.neuron_id == bindparam("neuron_id")),
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


_STANDING = sql("""
    INSERT INTO method_standing (method_id, neuron_id, explanation_id, score_id, score, simulator)
    SELECT method_id, CAST(:neuron_id AS bigint), explanation_id, score_id, score, simulator FROM unnest(
        CAST(:method_ids AS bigint[]), CAST(:explanation_ids AS bigint[]), CAST(:score_ids AS bigint[]),
        CAST(:scores AS double precision[]), CAST(:simulators AS text[])
    ) AS found (method_id, explanation_id, score_id, score, simulator)
    ON CONFLICT (method_id, neuron_id) DO UPDATE SET explanation_id = excluded.explanation_id,
        score_id = excluded.score_id, score = excluded.score, simulator = excluded.simulator
    WHERE (method_standing.explanation_id, method_standing.score_id)
        IS DISTINCT FROM (excluded.explanation_id, excluded.score_id)
""")


def refresh_current(session: Session, *, neuron_id: int) -> None:
    """Update what is stored for a neuron: its ``current_*``, each method's explanation of it, and its doubts.

    To be called after explanations or scores of the neuron were stored or one was rejected, in their transaction.
    """
    with one_round_trip(session) as trip:
        # Whoever comes second waits here, and then sees the first one's explanations too.
        trip.send(_LOCK.given(neuron_id=neuron_id))
        texts = trip.send(_TEXTS.given(neuron_id=neuron_id))
        scores = trip.send(_SCORES.given(neuron_id=neuron_id, scorer=SCORE_2023.scorer, sample=SCORE_2023.sample))
    scores_of = _standing_scores(texts.rows, scores.rows)

    def is_scored(text: _Text) -> bool:
        score = scores_of[text.id]
        return score is not None and score.value is not None

    connection = session.connection()
    first = shown_first(texts.rows, is_scored)
    connection.execute(_CURRENT, {"neuron_id": neuron_id, "new_number": len(texts.rows), **_current(first, scores_of)})
    by_method: dict[int, list[_Text]] = {}
    for text in texts.rows:
        if text.method_id is not None:
            by_method.setdefault(text.method_id, []).append(text)
    # A method's figures cover all of its explanations: without the rejected ones they would be too high.
    if standing := {method_id: _said_by_method(own, is_scored) for method_id, own in by_method.items()}:
        connection.execute(_STANDING, {"neuron_id": neuron_id, **_arrays(standing, scores_of)})
    refresh_doubts(session, neuron_ids=[neuron_id])


def _said_by_method(own: Sequence[_Text], is_scored: Callable[[_Text], bool]) -> _Text | None:
    return shown_first([replace(text, is_rejected=False) for text in own], is_scored)


Scores: TypeAlias = Mapping[int, _Score | None]
"""The score that represents each text, by the text's id."""


def _current(first: _Text | None, scores_of: Scores) -> dict[str, object]:
    score = None if first is None else scores_of[first.id]
    return {
        "new_id": None if first is None else first.id,
        "new_text": None if first is None else first.text,
        "new_score_id": None if score is None else score.id,
        "new_score": None if score is None else score.value,
        "new_simulator": None if score is None else score.simulator,
    }


def _arrays(standing: Mapping[int, _Text | None], scores_of: Scores) -> dict[str, list[object]]:
    """Each method's explanation, as one list per column of ``method_standing``."""
    rows = [(method_id, text, scores_of[text.id]) for method_id, text in standing.items() if text is not None]
    return {
        "method_ids": [method_id for method_id, _, _ in rows],
        "explanation_ids": [text.id for _, text, _ in rows],
        "score_ids": [None if score is None else score.id for _, _, score in rows],
        "scores": [None if score is None else score.value for _, _, score in rows],
        "simulators": [None if score is None else score.simulator for _, _, score in rows],
    }


def _standing_scores(texts: Sequence[_Text], scores: Sequence[_Score]) -> Scores:
    of_text: dict[int, list[_Score]] = {text.id: [] for text in texts}
    for score in scores:
        of_text[score.explanation_id].append(score)
    return {
        text.id: standing_score(of_text[text.id], SCORE_2023, made_by_method=text.method_id is not None)
        for text in texts
    }
