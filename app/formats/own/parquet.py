"""Parquet: a row is one neuron with everything that is known of it, in nested columns under the names of ``records``.

JSON values of formats are kept as JSON text, as is a simulation within a simulation, since a column cannot hold itself.
Needs pyarrow.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from itertools import islice
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from app.errors import Invalid
from app.formats.bounds import MEBIBYTE
from app.formats.checks import Refused
from app.formats.files import replaced
from app.formats.own.checking import checked
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import NeuronRecord, Origin
from app.formats.sources.unpacking import check_ratio
from app.formats.streams import BrokenFile, Entry

ROWS = 200
"""Neurons of a group of rows, and most that are in memory at a time."""
MOST_BATCH_BYTES = 256 * MEBIBYTE
_PLAIN: Mapping[type, str] = {int: "int64", float: "float64", str: "string", bool: "bool_"}


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a field is stored: its Parquet type, and the conversions in both directions."""

    arrow: Any
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class ParquetReader:
    """Reads our own Parquet files, from this machine's disk: the end of a file says where its parts are."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may hold neurons."""
        return name.endswith(".parquet")

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[NeuronRecord]:
        """The neuron of each row, rows being counted from 1 like lines."""
        if entry.path is None or entry.path.name != entry.name.rsplit("/", 1)[-1]:
            refuse(problem(Origin(entry.name), "Parquet is not read from an archive: unpack it"))
            return
        arrow, parquet = _arrow()
        number = 0
        try:
            with parquet.ParquetFile(entry.path) as file:
                if any(_has_dictionary(field.type, arrow) for field in file.schema_arrow):
                    refuse(problem(Origin(entry.name), "a column is a dictionary: write plain values"))
                    return
                for number, row in _rows(file, entry.path.stat().st_size, after):
                    yield from _record(row, Origin(entry.name, number), refuse)
        except BrokenFile as error:
            refuse(problem(Origin(entry.name, number or None), str(error)))
        except (arrow.ArrowException, OSError) as error:
            refuse(problem(Origin(entry.name, number or None), f"it is no Parquet file that can be read: {error}"))


def _has_dictionary(kind: Any, arrow: Any) -> bool:
    """Whether values of a type are kept as numbers in memory too, so that its size says nothing of its values."""
    nested = (kind.field(number).type for number in range(kind.num_fields))
    return arrow.types.is_dictionary(kind) or any(_has_dictionary(each, arrow) for each in nested)


def _rows(file: Any, size: int, after: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows behind the first ``after`` ones with their numbers, from 1. Raises BrokenFile for a bomb.

    A value that many rows have is kept once in a file and once for each row in memory. So what is unpacked is counted,
    and as few rows are read at a time as have room if each had all of the longest column.
    """
    number, unpacked = 0, 0
    for position in range(file.num_row_groups):
        group = file.metadata.row_group(position)
        if number + group.num_rows <= after:
            number += group.num_rows
            continue
        check_ratio(unpacked + group.total_byte_size, size)
        longest = max((group.column(n).total_uncompressed_size for n in range(group.num_columns)), default=1)
        at_once = max(1, min(ROWS, MOST_BATCH_BYTES // max(1, longest)))
        for batch in file.iter_batches(batch_size=at_once, row_groups=[position]):
            unpacked += batch.nbytes
            check_ratio(unpacked, size)
            for row in batch.to_pylist():
                number += 1
                if number > after:
                    yield number, row


def _record(row: Mapping[str, Any], origin: Origin, refuse: Refuse) -> Iterator[NeuronRecord]:
    try:
        built = _kind_of(NeuronRecord, ()).read({**row, "origin": {"file": "", "line": None}})
        yield checked(msgspec.convert(built, NeuronRecord), origin, refuse)
    except Refused as error:
        refuse(problem(origin, str(error), error.field))
    except (*MALFORMED, KeyError, TypeError, AttributeError) as error:
        refuse(decoding_problem(origin, error))


def write_parquet(records: Iterable[NeuronRecord], target: Path) -> int:
    """Write neurons to a Parquet file. Returns their number. Raises Invalid where pyarrow is not installed."""
    arrow, parquet = _arrow()
    kind = _kind_of(NeuronRecord, ())
    schema = arrow.schema([field for field in kind.arrow if field.name != "origin"])
    rows, n = iter(records), 0
    with replaced(target) as path, parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROWS)):
            built = [kind.write(replace(record, origin=Origin(""))) for record in chunk]
            writer.write_table(arrow.Table.from_pylist(built, schema=schema))
            n += len(chunk)
    return n


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise Invalid(
            "Parquet needs the library pyarrow, which is not installed here. Choose JSONL, or install it."
        ) from error
    return pyarrow, parquet


def _kind_of(declared: Any, above: tuple[type, ...]) -> _Kind:
    """How values of a declared type are kept. ``above`` are the dataclasses that this one is in."""
    arrow, _ = _arrow()
    options = [option for option in _options(declared) if option is not NoneType]
    if len(options) != 1:
        raise TypeError(f"{declared} cannot be kept in one column")
    kind = options[0]
    origin = get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _json_kind() if kind in above else _struct(kind, above)
    if origin is tuple or (isinstance(origin, type) and issubclass(origin, Sequence)):
        item = _kind_of(get_args(kind)[0], above)
        return _Kind(arrow.list_(item.arrow), _each(item.write), _each(item.read))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _json_kind()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _Kind(arrow.string(), lambda value: None if value is None else str(value.value), _same)
    return _Kind(getattr(arrow, _PLAIN[kind])(), _same, _same)


def _options(declared: Any) -> tuple[Any, ...]:
    return get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)


def _struct(kind: type, above: tuple[type, ...]) -> _Kind:
    arrow, _ = _arrow()
    hints = get_type_hints(kind)
    parts = {each.name: _kind_of(hints[each.name], (*above, kind)) for each in fields(kind)}

    def write(value: Any) -> Any:
        return None if value is None else {name: part.write(getattr(value, name)) for name, part in parts.items()}

    def read(value: Any) -> Any:  # a file of an earlier version lacks fields that were added since
        return None if value is None else {n: part.read(value[n]) for n, part in parts.items() if n in value}

    return _Kind(arrow.struct([arrow.field(name, part.arrow) for name, part in parts.items()]), write, read)


def _json_kind() -> _Kind:
    arrow, _ = _arrow()
    return _Kind(
        arrow.string(),
        lambda value: None if value is None else msgspec.json.encode(value).decode(),
        lambda value: None if value is None else json.loads(value),
    )


def _each(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return _same if function is _same else lambda values: None if values is None else [function(v) for v in values]


def _same(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
