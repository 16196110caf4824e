"""The exact rank of a neuron's score in a layer, at a cost that hardly grows with the layer.

Scores of one kind by one simulator are counted in bins of a hundredth, see ``RankCount``. ``layer_rank`` of the
migration adds up the lower bins and compares, from an index, only the neurons of the score's own bin.
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, column, func, literal_column, select
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import LateralFromClause

from app.domain.standing import SCORE_2023
from app.models import Neuron, Subject


def rank_in(subject_id: Any, name: str) -> LateralFromClause:
    """``n``: the layer's neurons with a comparable score; ``n_below``: those of them with a lower one.

    Scores of the same kind and simulator are comparable. A neuron is ranked by its headline, otherwise by its 2023
    score. Both numbers are 0 without a defined score.
    """
    rank = func.layer_rank(
        subject_id,
        Neuron.layer,
        _of_headline(Neuron.headline_scorer, literal_column(f"'{SCORE_2023.scorer}'")),
        _of_headline(Neuron.headline_simulator, Neuron.current_simulator),
        func.coalesce(Neuron.headline_score, Neuron.current_score),
    )
    return rank.table_valued(column("n", BigInteger), column("n_below", BigInteger)).lateral(name)


def _of_headline(headline: Any, otherwise: Any) -> ColumnElement[Any]:
    return case((Neuron.headline_score.is_not(None), headline), else_=otherwise)


def is_newest_twin(twin: type[Subject]) -> ColumnElement[bool]:
    """Whether a subject is the newest null twin of the neuron's."""
    every = aliased(Subject)
    return (
        twin.id
        == select(func.max(every.id)).where(every.null_twin_of_id == Subject.id).correlate(Subject).scalar_subquery()
    )
