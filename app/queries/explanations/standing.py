"""The rules of ``app.domain.standing`` in SQL, for what is asked of many neurons at once."""

from typing import Any

from sqlalchemy import Subquery, case, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import LateralFromClause

from app.domain.standing import ScoreName
from app.models import Explanation, Score


def score_standing_for(explanation: Any, name: ScoreName) -> LateralFromClause:
    """The score of this name that stands for ``explanation``, a table or an alias of the enclosing statement.

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


def standing_by_method(name: ScoreName, *, method_id: int | None = None) -> Subquery:
    """What each method, or one, says of each neuron that it has explained: one row per method and neuron.

    Columns ``method_id``, ``neuron_id``, ``explanation_id``, and ``value`` and ``simulator`` of the score of this
    name that stands for the explanation. See ``standing_texts`` and ``shown_first``.
    """
    score = score_standing_for(Explanation, name)
    of_runs = (
        select(
            Explanation.method_id,
            Explanation.neuron_id,
            Explanation.collection_id,
            Explanation.id.label("explanation_id"),
            score.c.value,
            score.c.simulator,
        )
        .outerjoin(score, true())
        .where(
            Explanation.rank == 0,
            Explanation.method_id.is_not(None) if method_id is None else Explanation.method_id == method_id,
        )
        .ext(distinct_on(Explanation.method_id, Explanation.neuron_id, Explanation.collection_id))
        .order_by(
            Explanation.method_id,
            Explanation.neuron_id,
            Explanation.collection_id,
            score.c.value.is_(None),
            Explanation.id,
        )
        .subquery()
    )
    found = of_runs.c
    return (
        select(found.method_id, found.neuron_id, found.explanation_id, found.value, found.simulator)
        .ext(distinct_on(found.method_id, found.neuron_id))
        .order_by(found.method_id, found.neuron_id, found.value.is_(None), found.explanation_id.desc())
        .subquery()
    )
