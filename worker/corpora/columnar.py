"""Rows of Parquet and Arrow files, batch by batch, the text's column alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worker.corpora.documents import Row
from worker.corpora.rows import CannotRead, named_fields

ROWS_AT_ONCE = 64
BUFFER_BYTES = 1 << 20


def parquet_rows(file: Path, field: str) -> Iterator[Row]:
    """The rows of a Parquet file. Raises CannotRead."""
    from pyarrow import parquet  # takes as long to import as all the rest

    with _damages(), parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES) as opened:
        _check_column(opened.schema_arrow, field)
        yield from _rows(opened.iter_batches(batch_size=ROWS_AT_ONCE, columns=[field], use_threads=False), field)


def arrow_rows(file: Path, field: str) -> Iterator[Row]:
    """The rows of an Arrow file or stream, as ``datasets`` saves them. Raises CannotRead."""
    import pyarrow as pa

    with _damages(), pa.memory_map(str(file)) as mapped:
        is_file = mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        if is_file:
            reader = pa.ipc.open_file(mapped)
            batches: Iterable[Any] = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            reader = batches = pa.ipc.open_stream(mapped)
        _check_column(reader.schema, field)
        small = (batch.slice(i, ROWS_AT_ONCE) for batch in batches for i in range(0, len(batch), ROWS_AT_ONCE))
        yield from _rows(small, field)


@contextmanager
def _damages() -> Iterator[None]:
    """The library's error about a damaged file, as CannotRead."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise CannotRead(f"damaged: {str(error).partition(chr(10))[0]}") from error


def _check_column(schema: Any, field: str) -> None:
    import pyarrow as pa

    if field not in schema.names:
        raise CannotRead(f"no column {field!r}; it has {named_fields(schema.names)}")
    kind = schema.field(field).type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)):
        raise CannotRead(f"its column {field!r} holds {kind}, not text")


def _rows(batches: Iterable[Any], field: str) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for text in batch.column(field).to_pylist():
            number += 1
            yield Row(number, text, "" if text is not None else f"no text under {field!r}")
