"""The orders of the list of neurons: keys, directions, cursors, and segments that one index scan reads each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, case, literal, tuple_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from app.domain.bounds import BIGGEST_ID
from app.queries.common.paging import damaged_cursor

SortColumns = ReadOnlyColumnCollection[str, Any] | Mapping[str, ColumnElement[Any]]

_LARGEST_INTEGER = 2**31 - 1


class SortKey(StrEnum):
    """The sort keys of a list. Neurons without a value come last in either direction."""

    HEADLINE = "headline"
    SCORE = "score"
    """The 2023 score."""
    MARGIN = "margin"
    TWIN = "twin"
    FIRING_RATE = "firing_rate"
    MAX = "max"
    POSITION = "position"
    LISTED = "listed"
    """The position in a list of neurons."""
    RELEVANCE = "relevance"
    """How well the explanation matches the search words."""
    MEANING = "meaning"
    """Similarity of the explanation to the searched text in meaning."""


@dataclass(frozen=True, slots=True)
class NeuronSort:
    """A key and a direction. Equal values are ordered by id, in the same direction."""

    key: SortKey = SortKey.SCORE
    descending: bool = True


BEST_FIRST = NeuronSort()


@dataclass(frozen=True, slots=True)
class SortCursor:
    """The start of a page of a sorted list: after the row with this value and id, or with this layer and index."""

    value: float | None
    number: int


@dataclass(frozen=True, slots=True)
class SortedValues:
    """A neuron's values of the sort columns, except those that depend on the search."""

    id: int
    layer: int
    index: int
    headline_score: float | None
    current_score: float | None
    headline_margin: float | None
    twin_percentile: float | None
    firing_rate: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class SortSegment:
    """A segment of the list that one index scan reads: all rows with the value, or all without."""

    conditions: tuple[ColumnElement[bool], ...]
    columns: tuple[ColumnElement[Any], ...]
    descending: bool

    @property
    def order(self) -> list[ColumnElement[Any]]:
        """The columns by which the segment is sorted."""
        return [c.desc() if self.descending else c.asc() for c in self.columns]

    def beyond(self, values: tuple[ColumnElement[Any], ...]) -> ColumnElement[bool]:
        """The condition for rows after these values."""
        here: ColumnElement[Any] = tuple_(*self.columns)
        return here < tuple_(*values) if self.descending else here > tuple_(*values)


_VALUES = {
    SortKey.HEADLINE: "headline_score",
    SortKey.SCORE: "current_score",
    SortKey.MARGIN: "headline_margin",
    SortKey.TWIN: "twin_percentile",
    SortKey.FIRING_RATE: "firing_rate",
    SortKey.MAX: "max",
    SortKey.LISTED: "listed",
    SortKey.RELEVANCE: "relevance",
    SortKey.MEANING: "meaning",
}
"""The sort columns that may be NULL."""
OF_MATCHES = (SortKey.LISTED, SortKey.RELEVANCE, SortKey.MEANING)
"""Keys that depend on the search, so that no index has them."""
WHOLE_NUMBERS = (SortKey.POSITION, SortKey.LISTED)
"""Keys with whole numbers: an index on them cannot be used for a comparison with a fraction."""
OF_EXPLANATIONS = (SortKey.HEADLINE, SortKey.SCORE, SortKey.MARGIN, SortKey.TWIN)
"""Keys for which a neuron without an explanation has no value."""


def segments_of(sort: NeuronSort, columns: SortColumns, *, backwards: bool) -> list[SortSegment]:
    """The segments of the list in reading order.

    Rows with and without the value are separate segments. So NULLs are last in both directions, and every segment is
    one scan of the value's index, forward or backward.
    """
    descending = sort.descending != backwards
    if sort.key is SortKey.POSITION:
        return [SortSegment((), (columns["layer"], columns["index"]), descending)]
    value, number = columns[_VALUES[sort.key]], columns["id"]
    with_value = SortSegment((value.is_not(None),), (value, number), descending)
    without = SortSegment((value.is_(None),), (value, number), backwards)
    return [without, with_value] if backwards else [with_value, without]


def whole_order(sort: NeuronSort, columns: SortColumns, *, backwards: bool) -> list[ColumnElement[Any]]:
    """The order of all segments together, which no index provides."""
    if sort.key is SortKey.POSITION:
        return segments_of(sort, columns, backwards=backwards)[0].order
    value, number = columns[_VALUES[sort.key]], columns["id"]
    ties = case((value.is_(None), number), else_=-number if sort.descending else number)
    if backwards:
        return [value.is_(None).desc(), value.asc() if sort.descending else value.desc(), ties.desc()]
    return [value.is_(None).asc(), value.desc() if sort.descending else value.asc(), ties.asc()]


def beyond(segment: SortSegment, key: SortKey, start: SortCursor) -> ColumnElement[bool]:
    """The condition for rows after a cursor in its own segment."""
    number = literal(start.number, BigInteger)
    if start.value is None:
        return replace(segment, columns=segment.columns[1:]).beyond((number,))
    return segment.beyond((literal(start.value, BigInteger if key in WHOLE_NUMBERS else Double), number))


def cursor_of(row: Any, sort: NeuronSort) -> str:
    """A cursor as written in URLs: ``0.8312@1234`` (value and id) or ``3@120`` (layer and index)."""
    if sort.key is SortKey.POSITION:
        return f"{row.layer}@{row.index}"
    value = getattr(row, _VALUES[sort.key])
    return f"{'none' if value is None else value}@{row.id}"


def parse_cursor(text: str, sort: NeuronSort) -> SortCursor:
    """The cursor of a text written by ``cursor_of``. Raises Invalid."""
    value, at, number = text.partition("@")
    try:
        cursor = SortCursor(None if value == "none" else float(value), int(number))
    except ValueError as error:
        raise damaged_cursor() from error
    is_position, is_whole = sort.key is SortKey.POSITION, sort.key in WHOLE_NUMBERS
    largest = _LARGEST_INTEGER if is_position else BIGGEST_ID
    if not at or not 0 <= cursor.number <= largest:
        raise damaged_cursor()
    if not is_whole or (cursor.value is None and not is_position):
        return cursor
    if not (value.isascii() and value.isdigit() and int(value) <= _LARGEST_INTEGER):
        raise damaged_cursor()
    return replace(cursor, value=int(value))
