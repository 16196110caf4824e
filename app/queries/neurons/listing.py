"""The list of a subject's neurons: filtered, sorted, read by keyset, counted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    func,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from app.domain.neurons import NeuronState
from app.models import ListedNeuron, Neuron
from app.queries.common.paging import Page
from app.queries.embeddings.lookup import Nearness
from app.queries.neurons.filters import (
    EVERY_NEURON,
    NeuronFilter,
    filter_conditions,
    planned_by_value,
)
from app.queries.neurons.matches import (
    MANY_SAMPLED,
    Matches,
    bound_of,
    matching_rows,
    number_of,
    number_of_matches,
    up_to,
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
from app.queries.neurons.rows import LISTED_COLUMNS, NeuronRow, marked_text, whole_rows
from app.queries.neurons.search_words import SAMPLED, relevance

MOST_SAMPLED = 1_000
"""Matches of the sample that are ranked at most: each requires reading its words."""
MOST_RANKED = 2_000
"""Matches that are ranked at most in a search with few matches in the sample."""
MOST_COMPARED = 5_000
"""Up to this number of matches, every one is compared by meaning; beyond it, an index finds the nearest."""
FEW = 2_000
"""Up to this number of matches, a list is read completely and then sorted, in some milliseconds."""
_IN_LIST = ListedNeuron.__table__.c
_LISTED: SortColumns = {"listed": _IN_LIST.position, "id": _IN_LIST.neuron_id}
"""The sort columns of a list's own order, both of the table that has the index."""


@dataclass(frozen=True, slots=True)
class NeuronsQuery:
    """The query whose matches a page shows."""

    subject_id: int | None
    """None for all subjects except null twins."""
    filter: NeuronFilter = EVERY_NEURON
    sort: NeuronSort = BEST_FIRST
    near: Nearness | None = None
    """The vector with which explanations are compared in the order by meaning."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a list's rows: all matches, and the columns by which they are sorted."""

    query: NeuronsQuery
    statement: Select[Any]
    columns: SortColumns
    is_found_first: bool
    """Whether the statement reads all matches before sorting; then reading segment by segment gains nothing."""


def counted_page(
    session: Session, *, query: NeuronsQuery, size: int, after: str | None = None, before: str | None = None
) -> tuple[Matches, Page[NeuronRow]]:
    """The number of matching neurons, and ``size`` of them: the first ones, or those next to a cursor.

    A small number lets the database read all matches before sorting them. Three queries, whatever the size. Raises
    Invalid for a malformed cursor.
    """
    with planned(session, query):
        matches = up_to(
            session.scalar(select(number_of_matches(query.subject_id, query.filter))) or 0, bound_of(query.filter)
        )
        found = _rows_of_page(session, query, size, after, before, few=are_few(matches, query))
    return matches, _page(session, query, size, found, after=after, before=before)


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

    ``matches``, if known, lets the database read a short list completely before sorting it. Two queries,
    whatever the size. Raises Invalid for a malformed cursor.
    """
    with planned(session, query):
        few = matches is not None and are_few(matches, query)
        found = _rows_of_page(session, query, size, after, before, few=few)
    return _page(session, query, size, found, after=after, before=before)


def _rows_of_page(
    session: Session, query: NeuronsQuery, size: int, after: str | None, before: str | None, *, few: bool
) -> list[Any]:
    """One row more than a page shows, to find out whether there are more."""
    cursor = before if before is not None else after
    start = None if cursor is None else parse_cursor(cursor, query.sort)
    source = _marking(source_of(query, few=few))
    return list(session.execute(reading(source, start, backwards=before is not None, limit=size + 1)))


def _page(
    session: Session, query: NeuronsQuery, size: int, found: Sequence[Any], *, after: str | None, before: str | None
) -> Page[NeuronRow]:
    more = len(found) > size
    shown = found[:size] if before is None else found[:size][::-1]
    rows = whole_rows(session, shown, words=query.filter.words, in_list=query.filter.in_list)
    if not shown:
        return Page(rows)
    first, last = cursor_of(shown[0], query.sort), cursor_of(shown[-1], query.sort)
    if before is not None:
        return Page(rows, previous=first if more else None, next=last)
    return Page(rows, previous=first if after is not None else None, next=last if more else None)


def count_neurons(session: Session, *, query: NeuronsQuery, bound: int | None = None) -> Matches:
    """The number of matching neurons, exact up to ``bound``."""
    bound = bound_of(query.filter) if bound is None else bound
    matching = matching_rows(query.subject_id, query.filter)
    with planned_by_value(session, query.filter):
        return up_to(session.scalar(select(number_of(matching, bound))) or 0, bound)


def source_of(query: NeuronsQuery, *, few: bool) -> Source:
    """All that match, unsorted.

    Where few match, a planner that expects many scans the sort's index for matches that are not there. A
    materialized CTE makes it apply the filter first. So does an order that no index has, over a bounded number.
    A list's own order is read from the list's index of positions.
    """
    is_ranked = query.sort.key in OF_MATCHES
    if is_in_list_order(query):
        rest = filter_conditions(query.subject_id, replace(query.filter, in_list=None))
        return Source(query, chosen_neurons(query).where(*rest), _LISTED, is_found_first=False)
    chosen = chosen_neurons(query).where(*filter_conditions(query.subject_id, query.filter))
    if not few and not is_ranked:
        return Source(query, chosen, Neuron.__table__.c, is_found_first=False)
    if query.near is not None and not few:
        chosen = chosen.order_by(distance(query.near)).limit(MOST_NEAREST)
    elif is_ranked and not few:
        return _found_first(query, _sampled(chosen) if query.filter.words else chosen.limit(MOST_RANKED))
    return _found_first(query, chosen)


def _found_first(query: NeuronsQuery, matching: Select[Any] | CompoundSelect[Any]) -> Source:
    found = matching.cte("found").prefix_with("MATERIALIZED")
    return Source(query, select(found), found.c, is_found_first=True)


def _sampled(matching: Select[Any]) -> CompoundSelect[Any]:
    """The first matches of the sample if it has many, otherwise the first of all, in the order of storage."""
    sampled = matching.where(SAMPLED).limit(MOST_SAMPLED).cte("sampled").prefix_with("MATERIALIZED")
    are_many = select(func.count()).select_from(sampled).scalar_subquery() >= MANY_SAMPLED
    every = matching.limit(MOST_RANKED).subquery()
    return union_all(select(sampled).where(are_many), select(every).where(not_(are_many)))


def _marking(source: Source) -> Source:
    """The same rows with the search words marked."""
    words = source.query.filter.words
    if not words:
        return source
    text = source.columns["current_text"] if source.is_found_first else Neuron.__table__.c.current_text
    marked = marked_text(text, words)
    return replace(source, statement=source.statement.add_columns(marked))


@contextmanager
def planned(session: Session, query: NeuronsQuery) -> Iterator[None]:
    """Context manager within which a list's statements are planned for its actual words and vector."""
    with planned_by_value(session, query.filter), planned_by_nearness(session, query.near):
        yield


def are_few(matches: Matches, query: NeuronsQuery) -> bool:
    """Whether all matches are read before sorting. For the order by meaning that is exact; an index is approximate."""
    return matches.exact and matches.number <= (FEW if query.near is None else MOST_COMPARED)


def chosen_neurons(query: NeuronsQuery, *, required: bool = True) -> Select[Any]:
    """The columns of a list, of every neuron.

    By meaning they are of neurons with an embedding, and in a list's own order of its neurons, unless that is not
    required.
    """
    chosen = select(*_columns(query))
    if is_in_list_order(query) and query.filter.in_list is not None:
        own = (ListedNeuron.neuron_id == Neuron.id) & (ListedNeuron.list_id == query.filter.in_list.id)
        chosen = chosen.join(ListedNeuron, own, isouter=not required)
    return chosen if query.near is None else with_embeddings(chosen, query.near, required=required)


def _columns(query: NeuronsQuery) -> list[Any]:
    """The columns that lists show and by which they are sorted."""
    columns: list[Any] = [*LISTED_COLUMNS]
    if query.sort.key is SortKey.RELEVANCE and query.filter.words:
        columns.append(relevance(query.filter.words).label("relevance"))
    if query.near is not None:
        columns.append(similarity(query.near))
    if is_in_list_order(query):
        columns.append(ListedNeuron.position.label("listed"))
    return columns


def is_in_list_order(query: NeuronsQuery) -> bool:
    """Whether a list of neurons is read in its own order."""
    return query.sort.key is SortKey.LISTED and query.filter.in_list is not None


def _segments(source: Source, start: SortCursor | None, *, backwards: bool) -> list[SortSegment]:
    segments = segments_of(source.query.sort, source.columns, backwards=backwards)
    if source.query.sort.key in OF_EXPLANATIONS and source.query.filter.state is NeuronState.UNEXPLAINED:
        # a neuron without an explanation has no score
        return segments[:1] if backwards else segments[1:]
    if source.columns is _LISTED and (start is None or start.value is not None):
        # Only a neuron that was removed from the list has no position; it is read as if it came last.
        return segments[1:] if backwards else segments[:1]
    return segments


def reading(source: Source, start: SortCursor | None, *, backwards: bool, limit: int) -> Select[Any]:
    """The first ``limit`` rows from a cursor on. The second of two segments is read only if the first is too short."""
    parts = conditions_from(source, start, backwards=backwards)
    if source.is_found_first:
        order = whole_order(source.query.sort, source.columns, backwards=backwards)
        wanted = or_(*(condition for _, condition in parts))
        return source.statement.where(wanted).order_by(*order).limit(limit)
    first, *rest = (source.statement.where(condition).order_by(*part.order).limit(limit) for part, condition in parts)
    if not rest:
        return first
    # A materialized CTE makes the segments run one after the other: no parallel plan reads both at once.
    full = first.cte("before_part" if backwards else "after_part").prefix_with("MATERIALIZED")
    is_short = select(func.count()).select_from(full).scalar_subquery() < limit
    both = union_all(select(full), *(select(part.where(is_short).subquery()) for part in rest))
    return select(both.subquery()).limit(limit)


def conditions_from(
    source: Source, start: SortCursor | None, *, backwards: bool
) -> list[tuple[SortSegment, ColumnElement[bool]]]:
    """The segments that are read from a cursor on, each with its conditions."""
    segments = _segments(source, start, backwards=backwards)
    if start is not None and len(segments) > 1 and (start.value is None) != backwards:
        segments = segments[1:]
    conditions = [and_(true(), *segment.conditions) for segment in segments]
    if start is not None:
        conditions[0] = and_(conditions[0], beyond(segments[0], source.query.sort.key, start))
    return list(zip(segments, conditions, strict=True))


def every_neuron(session: Session, *, query: NeuronsQuery, after: str | None, size: int) -> Page[NeuronRow]:
    """``size`` neurons after a cursor, with their full texts: for files of all matches.

    Orders that rank only a bounded number of matches, by relevance and by meaning, are replaced by layer and index.
    Raises Invalid for a malformed cursor.
    """
    if query.sort.key in (SortKey.RELEVANCE, SortKey.MEANING):
        query = replace(query, sort=NeuronSort(SortKey.POSITION, descending=False), near=None)
    start = None if after is None else parse_cursor(after, query.sort)
    with planned_by_value(session, query.filter):
        found = session.execute(reading(source_of(query, few=False), start, backwards=False, limit=size + 1)).all()
    shown = found[:size]
    rows = whole_rows(session, shown)
    ids = [row.id for row in shown]
    texts = session.execute(select(Neuron.id, Neuron.current_text).where(Neuron.id == func.any(ids)))
    by_id = {row.id: row.current_text for row in texts}
    whole = tuple(replace(row, explanation=by_id[row.id]) for row in rows)
    return Page(whole, next=cursor_of(shown[-1], query.sort) if len(found) > size else None)
