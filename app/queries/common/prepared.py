"""Statements that are compiled once, for the most frequent queries: a neuron's page, and the steps of a run.

They go past the ORM and SQLAlchemy's execution, whose preparations take half of a short query's time; what is raised
is what those raise. Rows are dataclasses, whose fields have the names of the columns: checked at import.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import psycopg
from sqlalchemy import Insert, Select, TextClause, TextualSelect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.queries.common.bulk import driver_connection

Row = TypeVar("Row")
Values: TypeAlias = Sequence[Any]

NESTED = "__"
"""Between the name of a field that is a dataclass and the name of one of its own fields."""

_PARAMETER = re.compile(r"(?<!%)%\((\w+)\)s")
"""A parameter in a statement's text, as the driver takes it."""

_DIALECT = make_url("postgresql+psycopg://").get_dialect()()


@dataclass(frozen=True, slots=True)
class BoundSelect(Generic[Row]):
    """A statement as the driver takes it, with its parameters, and how its rows are read."""

    text: str
    parameters: Mapping[str, object]
    read: Callable[[Values], Row]


class PreparedSelect(Generic[Row]):
    """A statement that selects columns of plain types, compiled once, and the dataclass that its rows fill.

    The columns have the names of the dataclass's fields, in their order; TypeError where they do not. A field that is
    a dataclass itself takes the columns ``field__name``, and is None where it may be and its first column is NULL. An
    enum's member and what has a ``from_json`` are made from the column's value.
    """

    def __init__(self, row: type[Row], statement: Select[*tuple[Any, ...]] | TextualSelect) -> None:
        names = [column.key for column in statement.exported_columns]
        if names != column_names(row):
            raise TypeError(f"{row.__name__} has the fields {column_names(row)}, the statement the columns {names}")
        compiled = statement.compile(dialect=_DIALECT)
        self._text = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._wanted = compiled.params.keys() - self._constants.keys()
        self._read = _reader(row)

    def given(self, **parameters: object) -> BoundSelect[Row]:
        """The statement with its parameters. Raises TypeError where one is missing or unknown."""
        if parameters.keys() != self._wanted:
            raise TypeError(f"the statement takes {sorted(self._wanted)}, not {sorted(parameters)}")
        return BoundSelect(self._text, {**self._constants, **parameters}, self._read)


class PreparedWrite:
    """A statement that changes rows and returns none, compiled once. The driver takes the values: JSON as ``Jsonb``."""

    def __init__(self, statement: Insert | TextClause, *, columns: Sequence[str] | None = None) -> None:
        """``columns``: what an INSERT gives values to; the others take their defaults."""
        if isinstance(statement, Insert):
            statement = statement.inline()  # without RETURNING
        compiled = statement.compile(dialect=_DIALECT, column_keys=columns)
        self.text = str(compiled)
        self._wanted = compiled.params.keys()

    def checked(self, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """The parameters. Raises TypeError where one is missing or unknown."""
        if parameters.keys() != self._wanted:
            raise TypeError(f"the statement takes {sorted(self._wanted)}, not {sorted(parameters)}")
        return parameters

    def together(self, rows: Sequence[Mapping[str, object]]) -> tuple[str, Mapping[str, object]]:
        """An INSERT of several rows as one statement, with its parameters: triggers of statements fire once.

        Raises TypeError as ``checked`` does.
        """
        if len(rows) == 1:
            return self.text, self.checked(rows[0])
        parameters = {
            _own_name(n, name): value for n, row in enumerate(rows) for name, value in self.checked(row).items()
        }
        return _of_rows(self.text, len(rows)), parameters


@cache
def _of_rows(text: str, n: int) -> str:
    """The text of an INSERT of one row, for n rows."""
    head, values, row = text.partition(" VALUES ")
    return f"{head}{values}{', '.join(_renamed(number, row) for number in range(n))}"


def column_names(row: type[Any]) -> list[str]:
    """The names of the columns that fill a dataclass."""
    kinds = get_type_hints(row)
    names = []
    for field in fields(row):
        kind = _without_none(kinds[field.name])
        nested = [f"{field.name}{NESTED}{name}" for name in column_names(kind)] if _is_nested(kind) else [field.name]
        names += nested
    return names


def labelled(prefix: str, columns: Mapping[str, Any]) -> list[Any]:
    """The columns of a field that is a dataclass, by the names of its own fields."""
    return [column.label(f"{prefix}{NESTED}{name}") for name, column in columns.items()]


def rows_of(session: Session, bound: BoundSelect[Row]) -> list[Row]:
    """The rows of a statement, in binary. One round trip."""
    with _as_sqlalchemy_raises(session, [bound.text]) as connection:
        values = execute(connection, bound).fetchall()
    return [bound.read(row) for row in values]


class PendingRows(Generic[Row]):
    """The rows of one of several statements, available after the round trip."""

    def __init__(self, bound: BoundSelect[Row]) -> None:
        self._bound = bound
        self.rows: list[Row] = []

    def fill(self, found: Iterable[Values]) -> None:
        """Read the rows that the server has sent."""
        self.rows = [self._bound.read(values) for values in found]


class Reads(Protocol):
    """Accepts SELECT statements whose rows arrive together."""

    def send(self, bound: BoundSelect[Row], /) -> PendingRows[Row]:
        """Queue a statement; its rows are available once the ``with`` block ends."""


class RoundTrip:
    """Statements that go to the database together, each seeing what those before it have changed."""

    def __init__(self, connection: psycopg.Connection[Any], sent: list[str]) -> None:
        """``sent`` receives the text of each statement, for the message of an error."""
        self._connection, self._sent = connection, sent
        self.pending: list[tuple[PendingRows[Any], psycopg.Cursor[Any]]] = []

    def send(self, bound: BoundSelect[Row]) -> PendingRows[Row]:
        """Queue a statement; its rows are available once the ``with`` block ends."""
        self._sent.append(bound.text)
        rows = PendingRows(bound)
        self.pending.append((rows, execute(self._connection, bound)))
        return rows

    def change(self, write: PreparedWrite, *rows: Mapping[str, object]) -> None:
        """Send a statement that changes rows; an INSERT for all of the given rows at once."""
        if rows:
            self._sent.append(write.text)
            self._connection.execute(*write.together(rows))


@contextmanager
def one_round_trip(session: Session) -> Iterator[RoundTrip]:
    """Send several statements in one round trip; their rows are there when the block is left."""
    sent: list[str] = []
    with _as_sqlalchemy_raises(session, sent) as connection:
        trip = RoundTrip(connection, sent)
        with connection.pipeline():
            yield trip
        for rows, cursor in trip.pending:
            rows.fill(cursor.fetchall())


class OneStatement:
    """Combines several SELECT statements into one."""

    def __init__(self) -> None:
        self.pending: list[tuple[PendingRows[Any], BoundSelect[Any]]] = []

    def send(self, bound: BoundSelect[Row]) -> PendingRows[Row]:
        """Add a statement as one part; its rows are available once the ``with`` block ends."""
        rows = PendingRows(bound)
        self.pending.append((rows, bound))
        return rows

    def whole(self) -> BoundSelect[Values]:
        """The statement whose one row has an array of rows for each part."""
        texts, parameters = list[str](), dict[str, object]()
        for number, (_, part) in enumerate(self.pending):
            texts.append(part.text)
            parameters |= {_own_name(number, name): value for name, value in part.parameters.items()}
        return BoundSelect(_together(tuple(texts)), parameters, tuple)


@contextmanager
def one_statement(session: Session) -> Iterator[OneStatement]:
    """Read the rows of several statements by a single one; they are there when the block is left.

    All parts see the same moment. It takes half the time of as many statements in a pipeline. Rows are few: a part is
    one value for the database, which is at most a gigabyte.
    """
    asked = OneStatement()
    yield asked
    if asked.pending:
        (found,) = rows_of(session, asked.whole())
        for (rows, _), values in zip(asked.pending, found, strict=True):
            rows.fill(values)


@cache
def _together(texts: tuple[str, ...]) -> str:
    """Statements as columns of one: in an anonymous row each value keeps its type."""
    parts = (
        f"ARRAY(SELECT ROW(part.*) FROM ({_renamed(n, text)}) AS part)"  # noqa: S608 - of statements compiled before
        for n, text in enumerate(texts)
    )
    return f"SELECT {', '.join(parts)}"


def _renamed(number: int, text: str) -> str:
    """A part's text with its own names of parameters."""
    return _PARAMETER.sub(lambda found: f"%({_own_name(number, found[1])})s", text)


def _own_name(number: int, name: str) -> str:
    """The name of a part's parameter in the whole statement."""
    return f"p{number}_{name}"


@contextmanager
def _as_sqlalchemy_raises(session: Session, sent: Sequence[str]) -> Iterator[psycopg.Connection[Any]]:
    """The session's connection; errors of the driver become those that SQLAlchemy would raise."""
    session.flush()  # as ``session.execute`` does: what this transaction has added is among the rows
    connection = driver_connection(session)
    try:
        yield connection
    except psycopg.Error as error:
        if connection.closed:  # the pool must not get it back as if it were whole
            session.connection().invalidate(error)
        statement = "; ".join(sent)
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, connection_invalidated=connection.closed
        ) from error


def execute(connection: psycopg.Connection[Any], bound: BoundSelect[Any]) -> psycopg.Cursor[Any]:
    """Send one statement; in a pipeline the rows come later."""
    return connection.execute(bound.text, bound.parameters, binary=True)


def _reader(row: type[Row]) -> Callable[[Values], Row]:
    """What makes a row of a statement's values."""
    kinds = get_type_hints(row)
    makers = [_maker(kinds[field.name]) for field in fields(row)]  # type: ignore[arg-type]  # any dataclass
    if all(maker is None for maker in makers):
        return lambda values: row(*values)
    widths = [_width(kinds[field.name]) for field in fields(row)]  # type: ignore[arg-type]  # any dataclass
    starts = [sum(widths[:i]) for i in range(len(widths))]
    parts = list(zip(makers, starts, widths, strict=True))

    def read(values: Values) -> Row:
        return row(*(values[start] if maker is None else maker(values[start : start + n]) for maker, start, n in parts))

    return read


def _maker(annotation: Any) -> Callable[[Values], Any] | None:
    """What makes a field of its columns' values; None for a value that is taken as it is."""
    kind = _without_none(annotation)
    if _is_nested(kind):
        make = _reader(kind)
        return (lambda values: None if values[0] is None else make(values)) if kind is not annotation else make
    if hasattr(kind, "from_json"):
        return lambda values: None if values[0] is None else kind.from_json(values[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda values: None if values[0] is None else kind(values[0])
    return None


def _width(annotation: Any) -> int:
    kind = _without_none(annotation)
    return len(column_names(kind)) if _is_nested(kind) else 1


def _is_nested(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind) and not hasattr(kind, "from_json")


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``; any other annotation as it is."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else annotation
