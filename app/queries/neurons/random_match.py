"""A random neuron among those that match, of one subject or of all."""

import secrets
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import Session

from app.models import Neuron, Subject
from app.queries.neurons import matches as bounds
from app.queries.neurons.filters import filter_conditions, planned_by_value
from app.queries.neurons.listing import NeuronsQuery, count_neurons

MOST_OF_WORDS = 5_000
"""Matches of a search for words among which one is drawn."""
Draw = Callable[[int], int]
"""A function that returns a random number from 0 to below its argument."""


@dataclass(frozen=True, slots=True)
class RandomMatch:
    """The neuron's subject, layer and index."""

    subject_id: int
    layer: int
    index: int


def random_match(session: Session, *, query: NeuronsQuery, draw: Draw = secrets.randbelow) -> RandomMatch | None:
    """A random neuron that matches; None where none does. At most four queries, each over a bounded number of rows.

    Up to ``COUNT_BOUND`` matches are equally likely. In a search for words with more than ``MOST_OF_WORDS``, it is one
    of the first so many. Else it is the first match from a random neuron on, so that one after a gap is likelier; where
    the gap is longer than ``COUNT_BOUND`` neurons, one of the first ``COUNT_BOUND`` matches.
    """
    matches = count_neurons(session, query=query, bound=MOST_OF_WORDS if query.filter.words else None)
    if not matches.number:
        return None
    conditions = filter_conditions(query.subject_id, query.filter)
    found = select(Neuron.subject_id, Neuron.layer, Neuron.index).where(*conditions)
    with planned_by_value(session, query.filter):
        row = None
        if not matches.exact and not query.filter.words:
            row = session.execute(_near(found, _random_neuron(session, query, draw), query.filter.layer)).first()
        row = row or session.execute(_one_of(found, matches.number, draw)).first()
    return None if row is None else RandomMatch(*row)


def _one_of(found: Select[int, int, int], n: int, draw: Draw) -> Select[int, int, int]:
    """One of the first n matches, each equally likely.

    The matches are sorted first, since the plan, and with it the order of rows, may depend on the offset.
    """
    first = found.add_columns(Neuron.id).limit(n).cte("first").prefix_with("MATERIALIZED")
    columns = first.c.subject_id, first.c.layer, first.c["index"]
    return select(*columns).order_by(first.c.id).offset(draw(n)).limit(1)


def _random_neuron(session: Session, query: NeuronsQuery, draw: Draw) -> RandomMatch:
    """A random (layer, index) of the subjects, within the filter's layer if it has one; each is equally likely."""
    only, layer = query.subject_id, query.filter.layer
    shapes = session.execute(
        select(Subject.id, Subject.n_layers, Subject.neurons_per_layer)
        .where(Subject.null_twin_of_id.is_(None) if only is None else Subject.id == only)
        .where(Subject.n_layers > (layer or 0))
        .order_by(Subject.id)
    ).all()
    sizes = [shape.neurons_per_layer * (shape.n_layers if layer is None else 1) for shape in shapes]
    ends = list(accumulate(sizes))
    number = draw(ends[-1])
    position = bisect_right(ends, number)
    shape, number = shapes[position], number - ends[position] + sizes[position]
    own_layer, index = divmod(number, shape.neurons_per_layer)
    return RandomMatch(shape.id, own_layer if layer is None else layer, index)


def _near(found: Select[int, int, int], start: RandomMatch, layer: int | None) -> Select[int, int, int]:
    """The first match among the ``COUNT_BOUND`` neurons of a subject, or of one layer of it, from ``start`` on."""
    here: ColumnElement[Any] = tuple_(Neuron.layer, Neuron.index)
    window = select(Neuron.id).where(Neuron.subject_id == start.subject_id, here >= (start.layer, start.index))
    if layer is not None:
        window = window.where(Neuron.layer == layer)
    window = window.order_by(Neuron.layer, Neuron.index).limit(bounds.COUNT_BOUND)
    return found.where(Neuron.id.in_(window)).order_by(Neuron.layer, Neuron.index).limit(1)
