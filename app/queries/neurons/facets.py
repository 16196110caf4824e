"""Facets of a list of neurons: the number of matches with each value of a filter."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, and_, func, literal, select, true, union_all
from sqlalchemy import Text as SqlText
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.neurons import NeuronState
from app.domain.review import ItemSource
from app.models import Explanation, ExplanationDoubt, Method, Neuron, ReviewItem, Run
from app.queries.neurons.filters import filter_conditions, planned_by_value
from app.queries.neurons.listing import NeuronsQuery
from app.queries.neurons.matches import COUNT_BOUND, Matches
from app.queries.runs.active import found_nothing

MOST_VALUES = 50
"""The number of values of one facet that are shown: the most frequent ones."""


class FacetKind(StrEnum):
    """The properties by which matches are counted, in the order of pages."""

    SUBJECT = "subject"
    LAYER = "layer"
    STATE = "state"
    DOUBT = "doubt"
    VERDICT = "verdict"
    AUTHOR = "author"
    METHOD = "made_by"
    HEADLINE = "headline"
    SCORE = "score"
    """The 2023 score."""
    MARGIN = "margin"
    RATE = "rate"


Bounds = tuple[float | None, float | None]
_SCORES: tuple[Bounds, ...] = ((None, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, None))
RANGED: dict[FacetKind, tuple[Bounds, ...]] = {
    FacetKind.HEADLINE: _SCORES,
    FacetKind.SCORE: _SCORES,
    FacetKind.MARGIN: ((None, 0.0), (0.0, 0.1), (0.1, 0.3), (0.3, None)),
    FacetKind.RATE: ((None, 0.001), (0.001, 0.01), (0.01, 0.1), (0.1, None)),
}
"""The counted ranges. Both bounds belong to a range, as in filters; a value on a bound counts twice."""
_COLUMNS: dict[FacetKind, InstrumentedAttribute[Any]] = {
    FacetKind.HEADLINE: Neuron.headline_score,
    FacetKind.SCORE: Neuron.current_score,
    FacetKind.MARGIN: Neuron.headline_margin,
    FacetKind.RATE: Neuron.firing_rate,
}


@dataclass(frozen=True, slots=True)
class FacetCount:
    """The number of matches with one value. A range's value is its index in ``RANGED``, a subject's its id."""

    kind: FacetKind
    value: str
    n: int


@dataclass(frozen=True, slots=True)
class Facets:
    """The counts of every facet, and the number of matches counted: at most ``COUNT_BOUND``."""

    counts: tuple[FacetCount, ...]
    counted: Matches


def facets_of(session: Session, *, query: NeuronsQuery) -> Facets:
    """The number of a list's matches with each value. One query over at most ``COUNT_BOUND`` matches."""
    found = (
        select(
            Neuron.id,
            Neuron.subject_id,
            Neuron.layer,
            Neuron.current_explanation_id,
            Neuron.n_explanations,
            Neuron.n_open_flags,
            Neuron.n_doubts,
            *_COLUMNS.values(),
        )
        .where(*filter_conditions(query.subject_id, query.filter))
        .limit(COUNT_BOUND + 1)
        .cte("found")
        .prefix_with("MATERIALIZED")
    )
    with planned_by_value(session, query.filter):
        rows = session.execute(union_all(*_selects(found))).all()
    n = next(row.n for row in rows if row.kind == _ALL)
    counts = tuple(FacetCount(FacetKind(row.kind), row.value, row.n) for row in rows if row.kind != _ALL and row.n)
    return Facets(counts, Matches(min(n, COUNT_BOUND), exact=n <= COUNT_BOUND))


_ALL = "all"


def _selects(found: CTE) -> Iterator[Select[str, str, int]]:
    of_explanation = found.join(Explanation, Explanation.id == found.c.current_explanation_id)
    yield _counted(_ALL, "", true(), found)
    yield _grouped(FacetKind.SUBJECT, found.c.subject_id, found)
    yield _grouped(FacetKind.LAYER, found.c.layer, found)
    yield _grouped(FacetKind.AUTHOR, Explanation.author_kind, of_explanation)
    yield _grouped(FacetKind.METHOD, Method.name, of_explanation.join(Method, Method.id == Explanation.method_id))
    doubts = and_(ExplanationDoubt.explanation_id == found.c.current_explanation_id, ExplanationDoubt.is_current)
    yield _grouped(FacetKind.DOUBT, ExplanationDoubt.doubt, found.join(ExplanationDoubt, doubts))
    judged = and_(
        ReviewItem.explanation_id == found.c.current_explanation_id,
        ReviewItem.outcome.is_not(None),
        ReviewItem.source != ItemSource.CONTROL,
    )
    once = func.count(found.c.current_explanation_id.distinct())
    yield _grouped(FacetKind.VERDICT, ReviewItem.outcome, found.join(ReviewItem, judged), n=once)
    for state, condition in _states(found).items():
        yield _counted(FacetKind.STATE, state, condition, found)
    for kind, ranges in RANGED.items():
        column = found.c[_COLUMNS[kind].key]
        for number, (low, high) in enumerate(ranges):
            ends = [column >= low] if low is not None else []
            ends += [column <= high] if high is not None else []
            yield _counted(kind, str(number), and_(*ends), found)


def _grouped(
    kind: FacetKind, column: ColumnElement[Any] | InstrumentedAttribute[Any], source: Any, *, n: Any = None
) -> Select[str, str, int]:
    number = (func.count() if n is None else n).label("n")
    values = (
        select(literal(str(kind)).label("kind"), column.cast(SqlText).label("value"), number)
        .select_from(source)
        .group_by(column)
        .order_by(number.desc(), column)
        .limit(MOST_VALUES)
        .subquery()
    )
    counted: Select[str, str, int] = select(values.c.kind, values.c.value, values.c.n)
    return counted


def _counted(kind: str, value: str, condition: ColumnElement[bool], found: CTE) -> Select[str, str, int]:
    number = func.count().filter(condition).label("n")
    counted: Select[str, str, int] = select(literal(str(kind)).label("kind"), literal(value).label("value"), number)
    return counted.select_from(found)


def _states(found: CTE) -> dict[NeuronState, ColumnElement[bool]]:
    """States that depend on the neuron and the results of its runs, by the same conditions as the filter."""
    return {
        NeuronState.EXPLAINED: found.c.current_explanation_id.is_not(None),
        NeuronState.UNEXPLAINED: found.c.current_explanation_id.is_(None),
        NeuronState.NEEDS_EXPLANATION: and_(found.c.current_explanation_id.is_(None), found.c.n_explanations > 0),
        NeuronState.DOUBTFUL: found.c.n_doubts > 0,
        NeuronState.FLAGGED: found.c.n_open_flags > 0,
        NeuronState.NO_EXPLANATION: and_(
            found.c.current_explanation_id.is_(None), found.c.id.in_(select(Run.neuron_id).where(found_nothing()))
        ),
    }
