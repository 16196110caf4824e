"""The list of a subject's neurons: filtered, sorted, read by keyset, counted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from app.domain.headlines import HeadlineKind
from app.domain.neurons import NeuronState
from app.domain.verdict_lines import VerdictLine
from app.models import Neuron
from app.queries.common.paging import Page
from app.queries.explanations.headlines import ShownStanding, standings_of
from app.queries.neurons.filters import (
    ENGLISH,
    EVERY_NEURON,
    NeuronFilter,
    filter_conditions,
    planned_by_value,
    search_query,
)
from app.queries.neurons.order import (
    BEST_FIRST,
    OF_EXPLANATIONS,
    NeuronSort,
    SortColumns,
    SortCursor,
    SortSegment,
    beyond,
    cursor_of,
    parse_cursor,
    segments_of,
    whole_order,
)
from app.queries.runs.active import RunsOfNeuron, runs_of_neurons

COUNT_BOUND = 10_000
"""Matches are counted up to here; beyond it a list shows "10,000+"."""
SEARCH_COUNT_BOUND = 1_000
"""The same for searches, where every match costs a look at its row."""

FEW = 2_000
"""Up to so many matches, a list is found whole and then sorted: some milliseconds, whatever the planner expects."""
TEXT_SHOWN = 400
"""Characters of an explanation that a list shows; the neuron's page shows all."""
HIT, HIT_END = "\x02", "\x03"
_HEADLINE = f"StartSel={HIT}, StopSel={HIT_END}, HighlightAll=true"


@dataclass(frozen=True, slots=True)
class NeuronRow:
    """One line of the list."""

    id: int
    layer: int
    index: int
    explanation_id: int | None
    explanation: str | None
    marked: str | None
    """The explanation with ``HIT`` and ``HIT_END`` around the words that a search has found; None without a search."""
    headline: float | None
    """The score over the whole corpus, else the 2023 score."""
    headline_kind: HeadlineKind | None
    """Which of them the headline is; None without an explanation that was scored."""
    headline_interval: tuple[float, float] | None
    precision: float | None
    recall: float | None
    margin: float | None
    """The headline minus the score of the neuron's token table."""
    twin_percentile: float | None
    """Share of the null twin's neurons in the layer with a lower headline."""
    score: float | None
    """The 2023 score."""
    interval: tuple[float, float] | None
    """Of the 2023 score, 95%."""
    simulator: str | None
    """Of the headline. Scores of different simulators are not comparable."""
    firing_rate: float | None
    max: float | None
    n_explanations: int
    n_open_flags: int
    n_active_runs: int
    verdict: VerdictLine | None
    """Of the explanation; None where there is none."""
    found_nothing: bool
    """Whether it has no explanation and a method has found nothing worth saying."""

    @property
    def is_whole_corpus(self) -> bool:
        """Whether its headline speaks of the whole corpus."""
        return self.headline_kind is not None and self.headline_kind.is_whole_corpus


@dataclass(frozen=True, slots=True)
class Matches:
    """How many neurons match: exactly, or at least so many."""

    number: int
    exact: bool


_COLUMNS = (
    Neuron.id,
    Neuron.layer,
    Neuron.index,
    Neuron.current_explanation_id,
    func.left(Neuron.current_text, TEXT_SHOWN).label("current_text"),
    Neuron.current_score,
    Neuron.headline_score,
    Neuron.headline_margin,
    Neuron.twin_percentile,
    Neuron.firing_rate,
    Neuron.max,
    Neuron.n_explanations,
    Neuron.n_open_flags,
)


@dataclass(frozen=True, slots=True)
class NeuronsQuery:
    """What a page of the list is a page of."""

    subject_id: int
    filter: NeuronFilter = EVERY_NEURON
    sort: NeuronSort = BEST_FIRST


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
    At most five queries and a round trip, whatever the size. Raises Invalid for a malformed cursor.
    """
    backwards = before is not None
    cursor = before if before is not None else after
    start = None if cursor is None else parse_cursor(cursor, query.sort)
    few = matches is not None and matches.exact and matches.number <= FEW
    with planned_by_value(session, query.filter):
        found = _read(session, _source(query, few=few), start, backwards=backwards, limit=size + 1)
    more = len(found) > size
    shown = found[:size][::-1] if backwards else found[:size]
    rows = _whole_rows(session, shown, words=query.filter.words)
    if not shown:
        return Page(rows)
    first, last = cursor_of(shown[0], query.sort), cursor_of(shown[-1], query.sort)
    if backwards:
        return Page(rows, previous=first if more else None, next=last)
    return Page(rows, previous=first if start is not None else None, next=last if more else None)


def count_neurons(session: Session, *, query: NeuronsQuery, bound: int | None = None) -> Matches:
    """How many neurons match, exactly up to ``bound``."""
    if bound is None:
        bound = SEARCH_COUNT_BOUND if query.filter.words else COUNT_BOUND
    some = (
        select(literal(1))
        .where(*filter_conditions(query.subject_id, query.filter))
        .select_from(Neuron)
        .limit(bound + 1)
        .subquery()
    )
    with planned_by_value(session, query.filter):
        number = session.scalar(select(func.count()).select_from(some)) or 0
    return Matches(min(number, bound), exact=number <= bound)


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

    At most nine queries, each of bounded size. The neuron need not match: flagging it may have taken it out.
    """
    matches = count_neurons(session, query=query)
    few = matches.exact and matches.number <= FEW
    own = session.execute(select(*_COLUMNS).where(Neuron.id == neuron_id)).one()
    start = parse_cursor(cursor_of(own, query.sort), query.sort)
    matching = select(Neuron.id).where(Neuron.id == neuron_id, *filter_conditions(query.subject_id, query.filter))
    with planned_by_value(session, query.filter):
        before = _read(session, _source(query, few=few), start, backwards=True, limit=1)
        after = _read(session, _source(query, few=few), start, backwards=False, limit=1)
        n_before = _count_before(session, query, start) if before else Matches(0, exact=True)
        is_listed = session.scalar(matching) is not None
    return PositionInList(_neighbour(before, query), _neighbour(after, query), n_before, matches, is_listed)


def _neighbour(rows: Sequence[Any], query: NeuronsQuery) -> Neighbour | None:
    return Neighbour(rows[0].layer, rows[0].index, cursor_of(rows[0], query.sort)) if rows else None


def _count_before(session: Session, query: NeuronsQuery, start: SortCursor) -> Matches:
    """How many neurons come before a cursor, exactly up to ``COUNT_BOUND``."""
    source = _source(query, few=False)
    n = 0
    for _, condition in _conditions(source, start, backwards=True):
        some = select(literal(1)).select_from(source.statement.where(condition).limit(COUNT_BOUND + 1 - n).subquery())
        n += session.scalar(select(func.count()).select_from(some.subquery())) or 0
    return Matches(min(n, COUNT_BOUND), exact=n <= COUNT_BOUND)


def _source(query: NeuronsQuery, *, few: bool) -> _Source:
    """All that match, unsorted.

    Where few match, a planner that expects many scans the sort's index for matches that are not there. A
    materialized CTE makes it apply the filter first.
    """
    chosen = select(*_COLUMNS).where(*filter_conditions(query.subject_id, query.filter))
    if not few:
        return _Source(query, chosen, Neuron.__table__.c, is_found_first=False)
    found = chosen.cte("found").prefix_with("MATERIALIZED")
    return _Source(query, select(found), found.c, is_found_first=True)


def _segments(source: _Source, *, backwards: bool) -> list[SortSegment]:
    segments = segments_of(source.query.sort, source.columns, backwards=backwards)
    if source.query.sort.key in OF_EXPLANATIONS and source.query.filter.state is NeuronState.UNEXPLAINED:
        # What has no explanation has no score.
        return segments[:1] if backwards else segments[1:]
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
    segments = _segments(source, backwards=backwards)
    if start is not None and len(segments) > 1 and (start.value is None) != backwards:
        segments = segments[1:]
    conditions = [and_(true(), *segment.conditions) for segment in segments]
    if start is not None:
        conditions[0] = and_(conditions[0], beyond(segments[0], source.query.sort.key, start))
    return list(zip(segments, conditions, strict=True))


def every_neuron(session: Session, *, query: NeuronsQuery, after: str | None, size: int) -> Page[NeuronRow]:
    """``size`` neurons of the whole list after a cursor, with their whole texts: for files of all that match.

    Raises Invalid for a malformed cursor.
    """
    start = None if after is None else parse_cursor(after, query.sort)
    with planned_by_value(session, query.filter):
        found = _read(session, _source(query, few=False), start, backwards=False, limit=size + 1)
    shown = found[:size]
    rows = _whole_rows(session, shown, words=None)
    ids = [row.id for row in shown]
    texts = session.execute(select(Neuron.id, Neuron.current_text).where(Neuron.id == func.any(ids)))
    by_id = {row.id: row.current_text for row in texts}
    whole = tuple(replace(row, explanation=by_id[row.id]) for row in rows)
    return Page(whole, next=cursor_of(shown[-1], query.sort) if len(found) > size else None)


def _whole_rows(session: Session, rows: Sequence[Any], *, words: str | None) -> tuple[NeuronRow, ...]:
    explained = [row.current_explanation_id for row in rows if row.current_explanation_id is not None]
    marked = _marked(session, rows, words) if words and explained else {}
    standings = standings_of(session, explanation_ids=explained)
    runs = runs_of_neurons(session, neuron_ids=[row.id for row in rows]) if rows else {}
    whole = (_whole_row(row, standings.get(row.current_explanation_id), runs.get(row.id, _NO_RUNS)) for row in rows)
    return tuple(replace(row, marked=marked.get(row.id)) for row in whole)


_NO_RUNS = RunsOfNeuron()


def _whole_row(row: Any, standing: ShownStanding | None, runs: RunsOfNeuron) -> NeuronRow:
    headline = None if standing is None else standing.headline
    old = None if standing is None else standing.score_2023
    return NeuronRow(
        id=row.id,
        layer=row.layer,
        index=row.index,
        explanation_id=row.current_explanation_id,
        explanation=row.current_text,
        marked=None,
        headline=None if headline is None else headline.score.value,
        headline_kind=None if headline is None else headline.kind,
        headline_interval=None if headline is None else headline.interval,
        precision=None if headline is None else headline.precision.value,
        recall=None if headline is None else headline.recall.value,
        margin=None if headline is None else headline.margin.value,
        twin_percentile=row.twin_percentile,
        score=None if old is None else old.value,
        interval=None if old is None else old.interval,
        simulator=None if headline is None else headline.score.simulator,
        firing_rate=row.firing_rate,
        max=row.max,
        n_explanations=row.n_explanations,
        n_open_flags=row.n_open_flags,
        n_active_runs=runs.n_active,
        verdict=None if standing is None else standing.line,
        found_nothing=row.current_explanation_id is None and runs.found_nothing,
    )


def _marked(session: Session, rows: Sequence[Any], words: str) -> dict[int, str | None]:
    """The texts that a list shows, with marks around what the search finds in them, by the neuron's id."""
    text = func.translate(func.left(Neuron.current_text, TEXT_SHOWN), HIT + HIT_END, "")
    marked = func.ts_headline(ENGLISH, text, search_query(words), _HEADLINE)
    ids = [row.id for row in rows]
    found = session.execute(select(Neuron.id, marked.label("marked")).where(Neuron.id == func.any(ids)))
    return {row.id: row.marked for row in found}
