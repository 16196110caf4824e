"""The orders of the list of neurons: keys, directions, places, and the stretches that one index scan reads."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, case, literal, tuple_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from app.domain.bounds import BIGGEST_ID
from app.queries.common.paging import damaged_cursor

Columns = ReadOnlyColumnCollection[str, Any]

_LARGEST_INTEGER = 2**31 - 1


class SortKey(StrEnum):
    """What a list may be sorted by. Neurons without the value come last in either direction."""

    SCORE = "score"
    FIRING_RATE = "firing_rate"
    MAX = "max"
    POSITION = "position"


@dataclass(frozen=True, slots=True)
class NeuronSort:
    """A key and a direction. Equal values stand in the order of ids, in the same direction."""

    key: SortKey = SortKey.SCORE
    descending: bool = True


BEST_FIRST = NeuronSort()


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in a sorted list: the sort's value and the id, or layer and index."""

    value: float | None
    number: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the list that one index scan reads: all rows with the value, or all without."""

    conditions: tuple[ColumnElement[bool], ...]
    columns: tuple[ColumnElement[Any], ...]
    descending: bool

    @property
    def order(self) -> list[ColumnElement[Any]]:
        """What it is sorted by."""
        return [c.desc() if self.descending else c.asc() for c in self.columns]

    def beyond(self, values: tuple[ColumnElement[Any], ...]) -> ColumnElement[bool]:
        """What comes after these values of its columns."""
        here: ColumnElement[Any] = tuple_(*self.columns)
        return here < tuple_(*values) if self.descending else here > tuple_(*values)


_VALUES = {SortKey.SCORE: "current_score", SortKey.FIRING_RATE: "firing_rate", SortKey.MAX: "max"}
"""The columns of the keys that may be NULL."""


def stretches_of(sort: NeuronSort, columns: Columns, *, backwards: bool) -> list[Stretch]:
    """The stretches of the list in reading order.

    A stretch each for rows with and without the value: so NULLs stand last in both directions, and every stretch is
    one scan of the one index of the value, forward or backward.
    """
    descending = sort.descending != backwards
    if sort.key is SortKey.POSITION:
        return [Stretch((), (columns["layer"], columns["index"]), descending)]
    value, number = columns[_VALUES[sort.key]], columns["id"]
    with_value = Stretch((value.is_not(None),), (value, number), descending)
    without = Stretch((value.is_(None),), (value, number), backwards)
    return [without, with_value] if backwards else [with_value, without]


def whole_order(sort: NeuronSort, columns: Columns, *, backwards: bool) -> list[ColumnElement[Any]]:
    """The order of all stretches at once, which no index serves."""
    if sort.key is SortKey.POSITION:
        return stretches_of(sort, columns, backwards=backwards)[0].order
    value, number = columns[_VALUES[sort.key]], columns["id"]
    ties = case((value.is_(None), number), else_=-number if sort.descending else number)
    if backwards:
        return [value.is_(None).desc(), value.asc() if sort.descending else value.desc(), ties.desc()]
    return [value.is_(None).asc(), value.desc() if sort.descending else value.asc(), ties.asc()]


def beyond(stretch: Stretch, key: SortKey, start: Place) -> ColumnElement[bool]:
    """What comes after a place in its own stretch."""
    number = literal(start.number, BigInteger)
    if key is SortKey.POSITION:
        return stretch.beyond((literal(start.value, BigInteger), number))
    if start.value is None:
        return replace(stretch, columns=stretch.columns[1:]).beyond((number,))
    return stretch.beyond((literal(start.value, Double), number))


def cursor_of(row: Any, sort: NeuronSort) -> str:
    """A place as addresses write it: ``0.8312@1234`` (value and id) or ``3@120`` (layer and index)."""
    if sort.key is SortKey.POSITION:
        return f"{row.layer}@{row.index}"
    value = getattr(row, _VALUES[sort.key])
    return f"{'none' if value is None else value}@{row.id}"


def parse_cursor(text: str, sort: NeuronSort) -> Place:
    """The place that ``cursor_of`` has written. Raises Invalid."""
    value, at, number = text.partition("@")
    try:
        place = Place(None if value == "none" else float(value), int(number))
    except ValueError as error:
        raise damaged_cursor() from error
    is_position = sort.key is SortKey.POSITION
    largest = _LARGEST_INTEGER if is_position else BIGGEST_ID
    if not at or not 0 <= place.number <= largest:
        raise damaged_cursor()
    if is_position and not (value.isascii() and value.isdigit() and int(value) <= largest):
        raise damaged_cursor()
    return replace(place, value=int(value)) if is_position else place
