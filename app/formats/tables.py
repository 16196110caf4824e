"""Tables as JSONL, CSV and Parquet: written from rows, and read again to the same rows.

A table is a frozen dataclass: its fields are the columns, with the types ``int``, ``float``, ``str``, ``bool`` and
``datetime``, each also ``| None``. Equal rows give equal bytes in every format, so that a file that was read and is
written again is the same file.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, islice
from types import NoneType
from typing import Any, TypeAlias, TypeVar, get_args, get_type_hints

from app.errors import Invalid

Row = TypeVar("Row")
Cells: TypeAlias = list[Any]
Parts: TypeAlias = Iterable[Sequence[Cells]]
"""Rows in parts, some at a time."""

ROWS_AT_ONCE = 5_000
"""Rows that are held in memory while a file is streamed, and in one row group of Parquet."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet may take for a formula, and the mark that is put before it.

Source: OWASP, "CSV Injection". The mark itself is among them, so that reading can take it away again.
"""
_MARK = "'"


class TableFormat(StrEnum):
    """The formats of tables, by the ends of their files' names."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def label(self) -> str:
        """The format's name on pages."""
        return "Parquet" if self is TableFormat.PARQUET else self.value.upper()

    @property
    def media_type(self) -> str:
        """The media type, as HTTP names it."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    TableFormat.JSONL: "application/jsonl; charset=utf-8",
    TableFormat.CSV: "text/csv; charset=utf-8",
    TableFormat.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: type
    is_nullable: bool


def columns_of(row_type: type[Any]) -> tuple[Column, ...]:
    """The columns of a dataclass. Raises TypeError for a field of another type."""
    hints = get_type_hints(row_type)
    found = []
    for each in fields(row_type):
        options = get_args(hints[each.name]) or (hints[each.name],)
        types = [option for option in options if option is not NoneType]
        if len(types) != 1 or types[0] not in _CELLS:
            raise TypeError(f"{row_type.__name__}.{each.name} is no type of a table's column")
        found.append(Column(each.name, types[0], NoneType in options))
    return tuple(found)


def write_table(rows: Iterable[object], row_type: type[Any], *, format: TableFormat) -> bytes:
    """A file of these rows. Raises Invalid for Parquet where its library is not installed."""
    return b"".join(stream_table(rows, row_type, format=format))


def stream_table(rows: Iterable[object], row_type: type[Any], *, format: TableFormat) -> Iterator[bytes]:
    """The same file piece by piece, holding ``ROWS_AT_ONCE`` rows at a time.

    The first piece is made before this returns: Invalid is raised here for Parquet without its library, and whatever
    reading the first rows raises.
    """
    columns = columns_of(row_type)
    cells = ([getattr(row, column.name) for column in columns] for row in rows)
    pieces = _WRITERS[format](_parts(cells), columns)
    return chain([next(pieces)], pieces)


def _parts(cells: Iterator[Cells]) -> Iterator[list[Cells]]:
    while part := list(islice(cells, ROWS_AT_ONCE)):
        yield part


def read_table(content: bytes, row_type: type[Row], *, format: TableFormat) -> list[Row]:
    """The rows of a file that ``write_table`` wrote. Raises Invalid for any other file."""
    columns = columns_of(row_type)
    try:
        return [row_type(*cells) for cells in _READERS[format](content, columns)]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise Invalid(f"This is not a {format.value} file of {row_type.__name__}: {error}.") from error


# JSON lines.


def _write_jsonl(parts: Parts, columns: Sequence[Column]) -> Iterator[bytes]:
    yield b""  # a file without rows has no line
    for part in parts:
        lines = (
            json.dumps({c.name: _as_json(value) for c, value in zip(columns, row, strict=True)}, ensure_ascii=False)
            for row in part
        )
        yield "".join(f"{line}\n" for line in lines).encode()


def _read_jsonl(content: bytes, columns: Sequence[Column]) -> list[Cells]:
    lines = [json.loads(line) for line in content.decode().split("\n")[:-1]]
    _require_columns(columns, [tuple(line) for line in lines[:1]])
    return [[_checked(c, _from_json(c, line[c.name])) for c in columns] for line in lines]


def _as_json(value: object) -> object:
    return _moment(value) if isinstance(value, datetime) else value


def _from_json(column: Column, value: Any) -> Any:
    return datetime.fromisoformat(value) if column.type is datetime and value is not None else value


# CSV: UTF-8, RFC 4180. An empty cell is a missing value, or an empty text where the column always has one.


def _write_csv(parts: Parts, columns: Sequence[Column]) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    for part in parts:
        for row in part:
            writer.writerow([_as_cell(column, value) for column, value in zip(columns, row, strict=True)])
        yield _taken(text).encode()
    yield text.getvalue().encode()


def _taken(text: io.StringIO) -> str:
    """The bytes written since the last call; they are then dropped."""
    written = text.getvalue()
    text.seek(0)
    text.truncate()
    return written


def _read_csv(content: bytes, columns: Sequence[Column]) -> list[Cells]:
    header, *rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True)) or [[]]
    _require_columns(columns, [tuple(header)])
    return [[_checked(c, _from_cell(c, cell)) for c, cell in zip(columns, row, strict=True)] for row in rows]


def _as_cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.type is str:
        is_marked = value.startswith(FORMULA_STARTS) or (column.is_nullable and not value)
        return _MARK + value if is_marked else str(value)
    if column.type is bool:
        return "true" if value else "false"
    return _moment(value) if isinstance(value, datetime) else repr(column.type(value))


def _from_cell(column: Column, cell: str) -> Any:
    if not cell and (column.is_nullable or column.type is not str):
        return None
    return _CELLS[column.type](cell)


def _truth(cell: str) -> bool:
    return {"true": True, "false": False}[cell]


_CELLS: Mapping[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    str: lambda cell: cell.removeprefix(_MARK),
    bool: _truth,
    datetime: datetime.fromisoformat,
}


# Parquet.


def _write_parquet(parts: Parts, columns: Sequence[Column]) -> Iterator[bytes]:
    """Write one row group per part."""
    arrow, parquet = _arrow()
    schema = arrow.schema([arrow.field(c.name, _arrow_type(arrow, c), nullable=c.is_nullable) for c in columns])
    sink = _Sink()
    with parquet.ParquetWriter(arrow.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for part in parts:
            values = zip(*part, strict=True)
            arrays = [arrow.array(list(v), type=field.type) for v, field in zip(values, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A file whose content is handed on while it is written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def taken(self) -> bytes:
        """What has been written since the last call."""
        piece = bytes(self._written)
        self._written.clear()
        return piece


def _read_parquet(content: bytes, columns: Sequence[Column]) -> list[Cells]:
    arrow, parquet = _arrow()
    try:
        table = parquet.read_table(io.BytesIO(content))
    except arrow.ArrowException as error:
        raise ValueError(error) from error
    _require_columns(columns, [tuple(table.column_names)])
    return [[_checked(c, row[c.name]) for c in columns] for row in table.to_pylist()]


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise Invalid(
            "Parquet needs the library pyarrow, which is not installed here. Choose JSONL or CSV, or install it."
        ) from error
    return pyarrow, parquet


def _arrow_type(arrow: Any, column: Column) -> Any:
    types = {int: arrow.int64, float: arrow.float64, str: arrow.string, bool: arrow.bool_}
    return arrow.timestamp("us", tz="UTC") if column.type is datetime else types[column.type]()


# All formats.


def _moment(value: Any) -> str:
    return str(value.astimezone(UTC).isoformat(timespec="microseconds"))


def _checked(column: Column, value: Any) -> Any:
    """The value of a cell. Raises ValueError for another type, and where one is missing that must not be."""
    if value is None and column.is_nullable:
        return None
    if column.type is float and type(value) is int:
        value = float(value)
    if not isinstance(value, column.type) or (column.type is int and isinstance(value, bool)):
        raise ValueError(f"{column.name} cannot be {value!r}")
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _require_columns(columns: Sequence[Column], found: Sequence[tuple[str, ...]]) -> None:
    expected = tuple(column.name for column in columns)
    for names in found:
        if names != expected:
            raise ValueError(f"its columns are {', '.join(names) or 'none'} and not {', '.join(expected)}")


_WRITERS = {TableFormat.JSONL: _write_jsonl, TableFormat.CSV: _write_csv, TableFormat.PARQUET: _write_parquet}
_READERS = {TableFormat.JSONL: _read_jsonl, TableFormat.CSV: _read_csv, TableFormat.PARQUET: _read_parquet}
