"""The list of a subject's neurons: filtered, sorted, read by keyset, counted."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    SmallInteger,
    and_,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session

from app.domain.neurons import NeuronState
from app.models import ListedNeuron, Neuron, Subject
from app.queries.common.paging import Page
from app.queries.embeddings.lookup import Nearness
from app.queries.neurons.filters import (
    EVERY_NEURON,
    NeuronFilter,
    filter_conditions,
    planned_by_value,
)
from app.queries.neurons.meaning import MOST_NEAREST, distance, planned_by_nearness, similarity, with_embeddings
from app.queries.neurons.order import (
    BEST_FIRST,
    OF_EXPLANATIONS,
    OF_MATCHES,
    NeuronSort,
    SortColumns,
    SortCursor,
    SortKey,
    SortSegment,
    beyond,
    cursor_of,
    parse_cursor,
    segments_of,
    whole_order,
)
from app.queries.neurons.rows import LISTED_COLUMNS, NeuronRow, whole_rows
from app.queries.neurons.search_words import relevance

COUNT_BOUND = 10_000
"""Matches are counted up to here; beyond it a list shows "10,000+"."""
SEARCH_COUNT_BOUND = 1_000
"""The same for searches, where every match costs a look at its row."""

_RANDOM = 1 << 32
MOST_RANKED = 5_000
"""Matches among which a search ranks: each costs a look at its words. No list of neurons is longer."""
FEW = 2_000
"""Up to so many matches, a list is found whole and then sorted: some milliseconds, whatever the planner expects."""
_IN_LIST = ListedNeuron.__table__.c
_LISTED: SortColumns = {"listed": _IN_LIST.position, "id": _IN_LIST.neuron_id}
"""The columns of a list's own order, both of the table whose index has it."""


@dataclass(frozen=True, slots=True)
class Matches:
    """How many neurons match: exactly, or at least so many."""

    number: int
    exact: bool


@dataclass(frozen=True, slots=True)
class NeuronsQuery:
    """What a page of the list is a page of."""

    subject_id: int | None
    """None for all subjects but null twins."""
    filter: NeuronFilter = EVERY_NEURON
    sort: NeuronSort = BEST_FIRST
    near: Nearness | None = None
    """What explanations are compared with, for the order by meaning."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where rows are read from: all that match, and the columns they are sorted by."""

    query: NeuronsQuery
    statement: Select[Any]
    columns: SortColumns
    is_found_first: bool
    """Whether the statement finds all before it sorts; then nothing is gained by reading segment by segment."""


def neurons_page(
    session: Session,
    *,
    query: NeuronsQuery,
    size: int,
    matches: Matches | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Page[NeuronRow]:
    """``size`` neurons; the first ones, or those next to a cursor.

    ``matches``, where it is known already, lets the database read a short list whole before it sorts it.
    At most four queries and a round trip, whatever the size. Raises Invalid for a malformed cursor.
    """
    backwards = before is not None
    cursor = before if before is not None else after
    start = None if cursor is None else parse_cursor(cursor, query.sort)
    few = matches is not None and _are_few(matches, query)
    with _planned(session, query):
        found = _read(session, _source(query, few=few), start, backwards=backwards, limit=size + 1)
    more = len(found) > size
    shown = found[:size][::-1] if backwards else found[:size]
    rows = whole_rows(session, shown, words=query.filter.words)
    if not shown:
        return Page(rows)
    first, last = cursor_of(shown[0], query.sort), cursor_of(shown[-1], query.sort)
    if backwards:
        return Page(rows, previous=first if more else None, next=last)
    return Page(rows, previous=first if start is not None else None, next=last if more else None)


def count_neurons(session: Session, *, query: NeuronsQuery, bound: int | None = None) -> Matches:
    """How many neurons match, exactly up to ``bound``."""
    most = _bound_of(query) if bound is None else bound
    matching = select(literal(1)).select_from(Neuron).where(*filter_conditions(query.subject_id, query.filter))
    with planned_by_value(session, query.filter):
        number = session.scalar(select(_number_of(matching, most))) or 0
    return _up_to(number, most)


def random_neuron(
    session: Session, *, query: NeuronsQuery, draw: Callable[[int], int] = secrets.randbelow
) -> tuple[int, int] | None:
    """Layer and index of a random neuron that matches; None where none does. At most four queries.

    ``draw`` returns a number from 0 to below its argument. Up to ``COUNT_BOUND`` matches are equally likely. Among
    more, it is the first match from a random neuron on, so that one after a gap is likelier; in a search, one of the
    first ``MOST_RANKED``.
    """
    matches = count_neurons(session, query=query, bound=MOST_RANKED if query.filter.words else None)
    if not matches.number:
        return None
    conditions = filter_conditions(query.subject_id, query.filter)
    found = select(Neuron.layer, Neuron.index).where(*conditions)
    with planned_by_value(session, query.filter):
        if matches.exact or query.filter.words:
            row = session.execute(found.offset(draw(matches.number)).limit(1)).first()
        else:
            row = session.execute(_from_random(query, found, draw)).first()
            row = row or session.execute(found.order_by(Neuron.layer, Neuron.index).limit(1)).first()
    return None if row is None else (row[0], row[1])


def _from_random(query: NeuronsQuery, found: Select[int, int], draw: Callable[[int], int]) -> Select[int, int]:
    """The first match from a random neuron of the subject on, which is in the filter's layer where it names one."""
    shape = select(Subject.n_layers, Subject.neurons_per_layer).where(Subject.id == query.subject_id).cte("shape")
    layer = literal(draw(_RANDOM) / _RANDOM) * shape.c.n_layers
    index = literal(draw(_RANDOM) / _RANDOM) * shape.c.neurons_per_layer
    start = select(
        func.floor(layer).cast(SmallInteger) if query.filter.layer is None else literal(query.filter.layer),
        func.floor(index).cast(Integer),
    )
    here: ColumnElement[Any] = tuple_(Neuron.layer, Neuron.index)
    return found.where(here >= start.scalar_subquery()).order_by(Neuron.layer, Neuron.index).limit(1)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neuron of a list, and the cursor at which it stands."""

    layer: int
    index: int
    cursor: str


@dataclass(frozen=True, slots=True)
class PositionInList:
    """Where a neuron stands in a list, whether or not it still matches."""

    previous: Neighbour | None
    next: Neighbour | None
    before: Matches
    """How many neurons come before it."""
    matches: Matches
    is_listed: bool
    """Whether the list still holds it."""


def position_in_list(session: Session, *, query: NeuronsQuery, neuron_id: int) -> PositionInList:
    """A neuron's neighbours in a list and its position, by keyset: the cost does not grow with the position.

    At most six queries, each of bounded size. The neuron need not match: flagging it may have taken it out.
    """
    own = session.execute(_chosen(query, required=False).where(Neuron.id == neuron_id)).one()
    start = parse_cursor(cursor_of(own, query.sort), query.sort)
    with _planned(session, query):
        if _is_in_list_order(query) and replace(query.filter, in_list=None) == EVERY_NEURON:
            n_before, matches, is_listed = _counts_of_whole_list(session, query, start)
        else:
            n_before, matches, is_listed = _counts(session, query, start, neuron_id)
        source = _source(query, few=_are_few(matches, query))
        before = _read(session, source, start, backwards=True, limit=1)
        after = _read(session, source, start, backwards=False, limit=1)
    return PositionInList(_neighbour(before, query), _neighbour(after, query), n_before, matches, is_listed)


def _neighbour(rows: Sequence[Any], query: NeuronsQuery) -> Neighbour | None:
    return Neighbour(rows[0].layer, rows[0].index, cursor_of(rows[0], query.sort)) if rows else None


def _counts(session: Session, query: NeuronsQuery, start: SortCursor, neuron_id: int) -> tuple[Matches, Matches, bool]:
    """How many neurons of a list come before a cursor, how many it has, and whether a neuron is in it. One query."""
    source, bound = _source(query, few=False), _bound_of(query)
    conditions = filter_conditions(query.subject_id, query.filter)
    before = [
        _number_of(source.statement.where(condition), COUNT_BOUND)
        for _, condition in _conditions(source, start, backwards=True)
    ]
    matching = _number_of(select(literal(1)).select_from(Neuron).where(*conditions), bound)
    is_listed = select(Neuron.id).where(Neuron.id == neuron_id, *conditions).exists()
    *numbers, n, listed = session.execute(select(*before, matching, is_listed)).one()
    return _up_to(sum(numbers), COUNT_BOUND), _up_to(n, bound), listed


def _counts_of_whole_list(session: Session, query: NeuronsQuery, start: SortCursor) -> tuple[Matches, Matches, bool]:
    """The same as ``_counts`` for all of a list in its own order, whose positions have no gaps. One query."""
    own = None if query.filter.in_list is None else query.filter.in_list.id
    n = session.scalar(select(func.max(ListedNeuron.position)).where(ListedNeuron.list_id == own)) or 0
    if start.value is None:
        return _up_to(n, COUNT_BOUND), _up_to(n, COUNT_BOUND), False
    position = int(start.value)
    n_before = n - position if query.sort.descending else position - 1
    return _up_to(n_before, COUNT_BOUND), _up_to(n, COUNT_BOUND), True


def _number_of(statement: Select[Any], bound: int) -> ScalarSelect[int]:
    """The number of a statement's rows, counted up to one more than a bound."""
    return select(func.count()).select_from(statement.limit(bound + 1).subquery()).scalar_subquery()


def _up_to(number: int, bound: int) -> Matches:
    return Matches(min(number, bound), exact=number <= bound)


def _bound_of(query: NeuronsQuery) -> int:
    return SEARCH_COUNT_BOUND if query.filter.words else COUNT_BOUND


def _source(query: NeuronsQuery, *, few: bool) -> _Source:
    """All that match, unsorted.

    Where few match, a planner that expects many scans the sort's index for matches that are not there. A
    materialized CTE makes it apply the filter first. So does an order that no index has, over a bounded number.
    A list's own order is read from the list's index of positions.
    """
    is_ranked = query.sort.key in OF_MATCHES
    if _is_in_list_order(query):
        rest = filter_conditions(query.subject_id, replace(query.filter, in_list=None))
        return _Source(query, _chosen(query).where(*rest), _LISTED, is_found_first=False)
    chosen = _chosen(query).where(*filter_conditions(query.subject_id, query.filter))
    if not few and not is_ranked:
        return _Source(query, chosen, Neuron.__table__.c, is_found_first=False)
    if query.near is not None and not few:
        chosen = chosen.order_by(distance(query.near)).limit(MOST_NEAREST)
    elif is_ranked:
        chosen = chosen.limit(MOST_RANKED)
    found = chosen.cte("found").prefix_with("MATERIALIZED")
    return _Source(query, select(found), found.c, is_found_first=True)


@contextmanager
def _planned(session: Session, query: NeuronsQuery) -> Iterator[None]:
    with planned_by_value(session, query.filter), planned_by_nearness(session, query.near):
        yield


def _are_few(matches: Matches, query: NeuronsQuery) -> bool:
    """Whether all matches are read before they are sorted. By meaning that is exact, and an index only nearly so."""
    return matches.exact and matches.number <= (FEW if query.near is None else MOST_RANKED)


def _chosen(query: NeuronsQuery, *, required: bool = True) -> Select[Any]:
    """The columns of a list, of every neuron.

    By meaning they are of neurons with an embedding, and in a list's own order of its neurons, unless that is not
    required.
    """
    chosen = select(*_columns(query))
    if _is_in_list_order(query) and query.filter.in_list is not None:
        own = (ListedNeuron.neuron_id == Neuron.id) & (ListedNeuron.list_id == query.filter.in_list.id)
        chosen = chosen.join(ListedNeuron, own, isouter=not required)
    return chosen if query.near is None else with_embeddings(chosen, query.near, required=required)


def _columns(query: NeuronsQuery) -> list[Any]:
    """What lists show, and what they are sorted by."""
    columns: list[Any] = [*LISTED_COLUMNS]
    if query.sort.key is SortKey.RELEVANCE and query.filter.words:
        columns.append(relevance(query.filter.words).label("relevance"))
    if query.near is not None:
        columns.append(similarity(query.near))
    if _is_in_list_order(query):
        columns.append(ListedNeuron.position.label("listed"))
    return columns


def _is_in_list_order(query: NeuronsQuery) -> bool:
    return query.sort.key is SortKey.LISTED and query.filter.in_list is not None


def _segments(source: _Source, start: SortCursor | None, *, backwards: bool) -> list[SortSegment]:
    segments = segments_of(source.query.sort, source.columns, backwards=backwards)
    if source.query.sort.key in OF_EXPLANATIONS and source.query.filter.state is NeuronState.UNEXPLAINED:
        # What has no explanation has no score.
        return segments[:1] if backwards else segments[1:]
    if source.columns is _LISTED and (start is None or start.value is not None):
        # Only a neuron that has left the list has no position, and it is read as if it came last.
        return segments[1:] if backwards else segments[:1]
    return segments


def _read(session: Session, source: _Source, start: SortCursor | None, *, backwards: bool, limit: int) -> list[Any]:
    parts = _conditions(source, start, backwards=backwards)
    if source.is_found_first:
        order = whole_order(source.query.sort, source.columns, backwards=backwards)
        wanted = or_(*(condition for _, condition in parts))
        return list(session.execute(source.statement.where(wanted).order_by(*order).limit(limit)))
    rows: list[Any] = []
    for segment, condition in parts:
        statement = source.statement.where(condition).order_by(*segment.order).limit(limit - len(rows))
        rows.extend(session.execute(statement))
        if len(rows) == limit:
            break
    return rows


def _conditions(
    source: _Source, start: SortCursor | None, *, backwards: bool
) -> list[tuple[SortSegment, ColumnElement[bool]]]:
    """The segments that are read from a cursor on, each with what is true of its rows."""
    segments = _segments(source, start, backwards=backwards)
    if start is not None and len(segments) > 1 and (start.value is None) != backwards:
        segments = segments[1:]
    conditions = [and_(true(), *segment.conditions) for segment in segments]
    if start is not None:
        conditions[0] = and_(conditions[0], beyond(segments[0], source.query.sort.key, start))
    return list(zip(segments, conditions, strict=True))


def every_neuron(session: Session, *, query: NeuronsQuery, after: str | None, size: int) -> Page[NeuronRow]:
    """``size`` neurons of the whole list after a cursor, with their whole texts: for files of all that match.

    An order among a bounded number of matches is replaced by that of their positions. Raises Invalid for a malformed
    cursor.
    """
    if query.sort.key in (SortKey.RELEVANCE, SortKey.MEANING):
        query = replace(query, sort=NeuronSort(SortKey.POSITION, descending=False), near=None)
    start = None if after is None else parse_cursor(after, query.sort)
    with planned_by_value(session, query.filter):
        found = _read(session, _source(query, few=False), start, backwards=False, limit=size + 1)
    shown = found[:size]
    rows = whole_rows(session, shown, words=None)
    ids = [row.id for row in shown]
    texts = session.execute(select(Neuron.id, Neuron.current_text).where(Neuron.id == func.any(ids)))
    by_id = {row.id: row.current_text for row in texts}
    whole = tuple(replace(row, explanation=by_id[row.id]) for row in rows)
    return Page(whole, next=cursor_of(shown[-1], query.sort) if len(found) > size else None)
