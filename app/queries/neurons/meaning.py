"""Neurons by the similarity of their explanations to a text: conditions, columns and settings for pgvector."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import ColumnElement, Double, Select, and_, cast, literal, literal_column
from sqlalchemy.orm import Session

from app.models import Neuron
from app.models.embeddings import EXPLANATION_EMBEDDINGS
from app.queries.common.planning import planned_with
from app.queries.embeddings.lookup import Nearness

MOST_NEAREST = 500
"""Neurons that an indexed search returns. If fewer neurons match the filter, every one is compared."""
# The index scan goes on until enough rows pass the other conditions, or 20,000 rows were read. A generic plan could
# not use the index, which is partial: of one model and one number of dimensions.
_SETTINGS = {
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": "200",
    "plan_cache_mode": "force_custom_plan",
}
_STORED = EXPLANATION_EMBEDDINGS.c


@contextmanager
def planned_by_nearness(session: Session, near: Nearness | None) -> Iterator[None]:
    """Context manager within which searches by meaning are planned for their actual model."""
    if near is None:
        yield
        return
    with planned_with(session, _SETTINGS):
        yield


def distance(near: Nearness) -> ColumnElement[float]:
    """The cosine distance of an explanation from the text, 0..2, as an expression that the model's index supports."""
    kind = HALFVEC(near.dimensions)
    wanted = cast(literal(list(near.vector), HALFVEC()), kind)
    return cast(_STORED.embedding, kind).op("<=>", return_type=Double())(wanted)


def similarity(near: Nearness) -> ColumnElement[float]:
    """The cosine of an explanation and the text, -1..1."""
    return (literal(1.0, Double()) - distance(near)).label("meaning")


def with_embeddings(statement: Select[Any], near: Nearness, *, required: bool = True) -> Select[Any]:
    """A statement over neurons, joined with the model's embeddings of their current explanations."""
    # The id is a literal, so that the planner can match it with the condition of the model's partial index.
    of_model = _STORED.model_id == literal_column(str(int(near.model_id)))
    own = and_(of_model, _STORED.neuron_id == Neuron.id, _STORED.explanation_id == Neuron.current_explanation_id)
    return statement.select_from(Neuron).join(EXPLANATION_EMBEDDINGS, own, isouter=not required)
