"""A neuron's position in a list: its neighbours, and the number of neurons before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, true, union_all
from sqlalchemy.orm import Session

from app.models import ListedNeuron, Neuron
from app.queries.neurons.filters import EVERY_NEURON, filter_conditions
from app.queries.neurons.listing import (
    NeuronsQuery,
    Source,
    are_few,
    chosen_neurons,
    conditions_from,
    is_in_list_order,
    planned,
    reading,
    source_of,
)
from app.queries.neurons.matches import COUNT_BOUND, Matches, bound_of, number_of, number_of_matches, up_to
from app.queries.neurons.order import OF_MATCHES, SortCursor, SortedValues, cursor_of, parse_cursor


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neuron of a list, and its cursor."""

    layer: int
    index: int
    cursor: str


@dataclass(frozen=True, slots=True)
class PositionInList:
    """A neuron's position in a list, whether or not the neuron still matches."""

    previous: Neighbour | None
    next: Neighbour | None
    before: Matches
    """The number of neurons before it."""
    matches: Matches
    is_listed: bool
    """Whether the list still contains it."""


def position_in_list(
    session: Session, *, query: NeuronsQuery, neuron_id: int, values: SortedValues | None = None
) -> PositionInList:
    """A neuron's neighbours in a list and its position, by keyset: the cost does not grow with the position.

    ``values`` are the neuron's own values of the sort columns, if known. Two queries, or three without ``values`` or in
    the order by meaning, each of bounded size. The neuron need not match: flagging it may have taken it out.
    """
    is_of_matches = query.sort.key in OF_MATCHES
    own: Any = values
    rows: Sequence[Any]
    with planned(session, query):
        if own is None or is_of_matches:
            own = session.execute(chosen_neurons(query, required=False).where(Neuron.id == neuron_id)).one()
        start = parse_cursor(cursor_of(own, query.sort), query.sort)
        source = source_of(query, few=False)
        if is_in_list_order(query) and replace(query.filter, in_list=None) == EVERY_NEURON:
            counts = _counts_of_whole_list(query, start)
        else:
            counts = _counts(source, start, neuron_id)
        if is_of_matches and query.near is None:  # read alike, however many match
            neighbours = _neighbours(source, start).subquery()
            counted = counts.subquery()
            rows = session.execute(select(counted, neighbours).outerjoin_from(counted, neighbours, true())).all()
            found = _numbers(rows[0], query)
        else:
            found = _numbers(session.execute(counts).one(), query)
            rows = session.execute(_neighbours(source_of(query, few=are_few(found.matches, query)), start)).all()
    sides = {row.side: _neighbour(row, query) for row in rows}
    return replace(found, previous=sides.get(_BEFORE), next=sides.get(_AFTER))


def _neighbour(row: Any, query: NeuronsQuery) -> Neighbour:
    return Neighbour(row.layer, row.index, cursor_of(row, query.sort))


_BEFORE, _AFTER = "before", "after"


def _neighbours(source: Source, start: SortCursor) -> Select[Any]:
    """The rows next to a cursor, each with its side."""
    sides = ((_BEFORE, True), (_AFTER, False))
    found = [(side, reading(source, start, backwards=back, limit=1).subquery(side)) for side, back in sides]
    both = union_all(*(select(literal(side).label("side"), rows) for side, rows in found))
    return select(both.subquery("neighbour"))


def _counts(source: Source, start: SortCursor, neuron_id: int) -> Select[int, int, bool]:
    """The number of neurons of a list before a cursor, the number in all, and whether a neuron is in the list."""
    query = source.query
    before: Sequence[ColumnElement[int]] = [
        func.coalesce(number_of(source.statement.where(condition), COUNT_BOUND), 0)
        for _, condition in conditions_from(source, start, backwards=True)
    ]
    is_listed = select(Neuron.id).where(Neuron.id == neuron_id, *filter_conditions(query.subject_id, query.filter))
    n_before = reduce(lambda total, own: total + own, before)
    n_matches = number_of_matches(query.subject_id, query.filter)
    return select(n_before.label("n_before"), n_matches.label("n_matches"), is_listed.exists().label("is_listed"))


def _numbers(row: Any, query: NeuronsQuery) -> PositionInList:
    matches = up_to(row.n_matches, bound_of(query.filter))
    return PositionInList(None, None, up_to(row.n_before, COUNT_BOUND), matches, row.is_listed)


def _counts_of_whole_list(query: NeuronsQuery, start: SortCursor) -> Select[int, int, bool]:
    """The same as ``_counts`` for a whole list in its own order, whose positions have no gaps."""
    own = None if query.filter.in_list is None else query.filter.in_list.id
    newest = select(func.coalesce(func.max(ListedNeuron.position), 0)).where(ListedNeuron.list_id == own)
    n, n_before = newest.scalar_subquery(), newest.scalar_subquery()
    is_listed = start.value is not None
    before: ColumnElement[int] = n_before if start.value is None else literal(int(start.value) - 1)
    if start.value is not None and query.sort.descending:
        before = n_before - int(start.value)
    return select(before.label("n_before"), n.label("n_matches"), literal(is_listed).label("is_listed"))
