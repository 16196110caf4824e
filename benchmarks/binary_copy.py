"""PostgreSQL's binary COPY format, many rows at once from arrays (PostgreSQL manual, "COPY", "Binary Format").

A field is its length as a 32-bit number and then its bytes; here it is a column of such fields, n rows by width
in bytes, so that rows of one width are laid side by side without a loop.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, sql

Bytes: TypeAlias = NDArray[np.uint8]

INT8_OID, FLOAT4_OID = 20, 700
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"


def numbers(values: Sequence[float] | NDArray[np.generic], kind: str) -> Bytes:
    """A column of numbers; ``kind`` is NumPy's big-endian type, such as ``>i8`` or ``>f8``."""
    return raw(np.ascontiguousarray(values, dtype=kind).view(np.uint8).reshape(len(values), -1))


def words(word: str, n: int) -> Bytes:
    """A column of ``n`` times the same text."""
    return raw(np.tile(np.frombuffer(word.encode(), dtype=np.uint8), (n, 1)))


def arrays(values: NDArray[np.generic], kind: str, oid: int) -> Bytes:
    """A column of one-dimensional arrays of equal length; ``values`` is n by length."""
    n, length = values.shape
    elements = np.ascontiguousarray(values, dtype=kind).view(np.uint8).reshape(n, length, -1)
    sizes = np.broadcast_to(_big_endian([elements.shape[2]]), (n, length, 4))
    body = np.concatenate([sizes, elements], axis=2).reshape(n, -1)
    head = np.broadcast_to(_big_endian([1, 0, oid, length, 1]), (n, 20))  # dimensions, no nulls, type, size, first
    return raw(np.concatenate([head, body], axis=1))


def raw(values: Bytes) -> Bytes:
    """A column of byte strings of equal length."""
    return np.concatenate([np.broadcast_to(_big_endian([values.shape[1]]), (len(values), 4)), values], axis=1)


def copy_rows(
    connection: Connection, table: str, columns: dict[str, Bytes], texts: tuple[str, Iterable[str]] | None = None
) -> None:
    """COPY rows made of columns of equal height; ``texts`` is one more column, whose widths may differ."""
    names = [*columns, *([texts[0]] if texts else [])]
    n = len(next(iter(columns.values())))
    rows = np.concatenate([np.tile(np.array([0, len(names)], dtype=np.uint8), (n, 1)), *columns.values()], axis=1)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for name in names)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_HEADER)
        copy.write(rows.tobytes() if texts is None else b"".join(_with_texts(rows, texts[1])))
        copy.write(_TRAILER)


def _with_texts(rows: Bytes, texts: Iterable[str]) -> Iterable[bytes]:
    for row, text in zip(rows, texts, strict=True):
        encoded = text.encode()
        yield row.tobytes() + len(encoded).to_bytes(4, "big") + encoded


def _big_endian(values: Sequence[int]) -> Bytes:
    return np.array(values, dtype=">i4").view(np.uint8)
