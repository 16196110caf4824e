"""Statements compiled once, for the most frequent queries: a neuron's page, and the steps of a run.

They bypass the ORM and SQLAlchemy's execution, whose preparation takes half of a short query's time; errors are raised
as SQLAlchemy's. Rows are dataclasses whose fields have the names of the columns, which is checked at import.
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
"""Separator between the name of a dataclass field and the name of a field of that dataclass."""

_PARAMETER = re.compile(r"(?<!%)%\((\w+)\)s")
"""A parameter in a statement's text, in the driver's syntax."""

_DIALECT = make_url("postgresql+psycopg://").get_dialect()()


@dataclass(frozen=True, slots=True)
class BoundSelect(Generic[Row]):
    """A statement in the driver's syntax, with its parameters and the reader of its rows."""

    text: str
    parameters: Mapping[str, object]
    read: Callable[[Values], Row]


class PreparedSelect(Generic[Row]):
    """A statement that selects columns of plain types, compiled once, and the dataclass that its rows fill.

    The columns must have the names of the dataclass's fields, in their order; otherwise TypeError is raised. A field
    that is itself a dataclass takes the columns ``field__name``; an optional one is None if its first column is NULL.
    Enum members, and types with a ``from_json``, are built from the column's value.
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
        """The statement with its parameters. Raises TypeError if one is missing or unknown."""
        if parameters.keys() != self._wanted:
            raise TypeError(f"the statement takes {sorted(self._wanted)}, not {sorted(parameters)}")
        return BoundSelect(self._text, {**self._constants, **parameters}, self._read)


class PreparedWrite:
    """A statement that changes rows and returns none, compiled once. Values are the driver's: JSON as ``Jsonb``."""

    def __init__(self, statement: Insert | TextClause, *, columns: Sequence[str] | None = None) -> None:
        """``columns`` are the columns to which an INSERT gives values; the others get their defaults."""
        if isinstance(statement, Insert):
            statement = statement.inline()  # without RETURNING
        compiled = statement.compile(dialect=_DIALECT, column_keys=columns)
        self.text = str(compiled)
        self._wanted = compiled.params.keys()

    def checked(self, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """The parameters. Raises TypeError if one is missing or unknown."""
        if parameters.keys() != self._wanted:
            raise TypeError(f"the statement takes {sorted(self._wanted)}, not {sorted(parameters)}")
        return parameters

    def together(self, rows: Sequence[Mapping[str, object]]) -> tuple[str, Mapping[str, object]]:
        """An INSERT of several rows as one statement, with its parameters, so that statement triggers fire once.

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
    """The text of a one-row INSERT, extended to n rows."""
    head, values, row = text.partition(" VALUES ")
    return f"{head}{values}{', '.join(_renamed(number, row) for number in range(n))}"


def column_names(row: type[Any]) -> list[str]:
    """The names of the columns that fill a dataclass, in order."""
    kinds = get_type_hints(row)
    names = []
    for field in fields(row):
        kind = _without_none(kinds[field.name])
        nested = [f"{field.name}{NESTED}{name}" for name in column_names(kind)] if _is_nested(kind) else [field.name]
        names += nested
    return names


def labelled(prefix: str, columns: Mapping[str, Any]) -> list[Any]:
    """The columns of a field that is a dataclass, labelled with its field names."""
    return [column.label(f"{prefix}{NESTED}{name}") for name, column in columns.items()]


def rows_of(session: Session, bound: BoundSelect[Row]) -> list[Row]:
    """The rows of a statement, in binary format. One round trip."""
    with _as_sqlalchemy_raises(session, [bound.text]) as connection:
        values = execute(connection, bound).fetchall()
    return [bound.read(row) for row in values]


class PendingRows(Generic[Row]):
    """The rows of one of several statements, available after their common round trip."""

    def __init__(self, bound: BoundSelect[Row]) -> None:
        self._bound = bound
        self.rows: list[Row] = []

    def fill(self, found: Iterable[Values]) -> None:
        """Read the rows that the server has sent."""
        self.rows = [self._bound.read(values) for values in found]


class Reads(Protocol):
    """An object that accepts SELECT statements whose rows arrive together."""

    def send(self, bound: BoundSelect[Row], /) -> PendingRows[Row]:
        """Queue a statement; its rows are available once the ``with`` block ends."""


class RoundTrip:
    """Statements sent to the database together; each sees the changes of those before it."""

    def __init__(self, connection: psycopg.Connection[Any], sent: list[str]) -> None:
        """``sent`` receives the text of each statement, for error messages."""
        self._connection, self._sent = connection, sent
        self.pending: list[tuple[PendingRows[Any], psycopg.Cursor[Any]]] = []

    def send(self, bound: BoundSelect[Row]) -> PendingRows[Row]:
        """Queue a statement; its rows are available once the ``with`` block ends."""
        self._sent.append(bound.text)
        rows = PendingRows(bound)
        self.pending.append((rows, execute(self._connection, bound)))
        return rows

    def change(self, write: PreparedWrite, *rows: Mapping[str, object]) -> None:
        """Send a statement that changes rows; an INSERT covers all given rows at once."""
        if rows:
            self._sent.append(write.text)
            self._connection.execute(*write.together(rows))


@contextmanager
def one_round_trip(session: Session) -> Iterator[RoundTrip]:
    """Send several statements in one round trip; their rows are available when the block ends."""
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
        """The combined statement, whose single row has an array of rows for each part."""
        texts, parameters = list[str](), dict[str, object]()
        for number, (_, part) in enumerate(self.pending):
            texts.append(part.text)
            parameters |= {_own_name(number, name): value for name, value in part.parameters.items()}
        return BoundSelect(_together(tuple(texts)), parameters, tuple)


@contextmanager
def one_statement(session: Session) -> Iterator[OneStatement]:
    """Read the rows of several statements by a single one; they are available when the block ends.

    All parts see the same snapshot, in half the time of as many pipelined statements. For few rows only: the database
    builds each part as one value, which may have at most a gigabyte.
    """
    asked = OneStatement()
    yield asked
    if asked.pending:
        (found,) = rows_of(session, asked.whole())
        for (rows, _), values in zip(asked.pending, found, strict=True):
            rows.fill(values)


@cache
def _together(texts: tuple[str, ...]) -> str:
    """The statements as columns of one statement; within anonymous records each value keeps its type."""
    parts = (
        f"ARRAY(SELECT ROW(part.*) FROM ({_renamed(n, text)}) AS part)"  # noqa: S608 - of statements compiled before
        for n, text in enumerate(texts)
    )
    return f"SELECT {', '.join(parts)}"


def _renamed(number: int, text: str) -> str:
    """A part's text with its own names of parameters."""
    return _PARAMETER.sub(lambda found: f"%({_own_name(number, found[1])})s", text)


def _own_name(number: int, name: str) -> str:
    """The unique name of a part's parameter in the combined statement."""
    return f"p{number}_{name}"


@contextmanager
def _as_sqlalchemy_raises(session: Session, sent: Sequence[str]) -> Iterator[psycopg.Connection[Any]]:
    """The session's connection; the driver's errors become those that SQLAlchemy would raise."""
    session.flush()  # as ``session.execute`` does: the statement must see rows added in this transaction
    connection = driver_connection(session)
    try:
        yield connection
    except psycopg.Error as error:
        if connection.closed:  # the pool must not reuse a broken connection
            session.connection().invalidate(error)
        statement = "; ".join(sent)
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, connection_invalidated=connection.closed
        ) from error


def execute(connection: psycopg.Connection[Any], bound: BoundSelect[Any]) -> psycopg.Cursor[Any]:
    """Send one statement; in a pipeline its rows arrive later."""
    return connection.execute(bound.text, bound.parameters, binary=True)


def _reader(row: type[Row]) -> Callable[[Values], Row]:
    """The function that builds a row from a statement's values."""
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
    """The function that builds a field from its columns' values; None for a value that is used unchanged."""
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
