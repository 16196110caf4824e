import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.formats.tables import FORMULA_STARTS, TableFormat, columns_of, read_table, stream_table, write_table


@dataclass(frozen=True)
class Line:
    number: int
    share: float | None
    text: str
    note: str | None
    is_right: bool
    at: datetime
    ended_at: datetime | None


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["", "'", "''", "=1+1", "+1", "-1", "@a", "\t=1", "\r\n=1", '"', 'a"b,c', "line\nline", " \u2028 ", "'=1", "null"]
)
MOMENTS = st.datetimes(timezones=st.just(UTC))
LINES = st.builds(
    Line,
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.none() | TEXTS,
    st.booleans(),
    MOMENTS,
    st.none() | MOMENTS,
)


@pytest.mark.parametrize("format", TableFormat)
@given(st.lists(LINES, max_size=6))
def test_a_table_that_is_read_again_has_the_same_rows_and_the_same_bytes(format: TableFormat, rows: list[Line]) -> None:
    content = write_table(rows, Line, format=format)
    back = read_table(content, Line, format=format)
    assert back == rows
    assert write_table(back, Line, format=format) == content


@pytest.mark.parametrize("format", TableFormat)
@pytest.mark.parametrize("n_rows", [0, 1, 4, 5])
def test_a_file_that_is_streamed_is_the_same_file(
    monkeypatch: pytest.MonkeyPatch, format: TableFormat, n_rows: int
) -> None:
    monkeypatch.setattr("app.formats.tables.ROWS_AT_ONCE", 2)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [Line(i, i / 2, f"text {i}", None, True, at, None) for i in range(n_rows)]
    taken: list[int] = []

    def read() -> Iterator[Line]:
        for row in rows:
            taken.append(row.number)
            yield row

    pieces = stream_table(read(), Line, format=format)
    n_taken = len(taken)
    content = b"".join(pieces)
    assert n_taken <= 2  # nothing is read ahead of the part that is written
    assert content == write_table(rows, Line, format=format)
    assert read_table(content, Line, format=format) == rows


@given(TEXTS, st.none() | TEXTS)
def test_no_cell_of_a_csv_file_begins_a_formula(text: str, note: str | None) -> None:
    line = Line(-1, -0.5, text, note, True, datetime(2026, 1, 1, tzinfo=UTC), None)
    rows = list(csv.DictReader(io.StringIO(write_table([line], Line, format=TableFormat.CSV).decode(), newline="")))
    for name in ("text", "note"):
        assert not rows[0][name].startswith(FORMULA_STARTS) or rows[0][name].startswith("'")
    assert (rows[0]["number"], rows[0]["share"]) == ("-1", "-0.5")  # numbers stay numbers


def test_moments_are_written_in_utc() -> None:
    there = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    content = write_table([Line(1, None, "", None, False, there, None)], Line, format=TableFormat.JSONL)
    assert b'"at": "2026-01-01T00:00:00.000000+00:00"' in content


@pytest.mark.parametrize(
    ("format", "content"),
    [
        (TableFormat.JSONL, b'{"other": 1}\n'),
        (TableFormat.JSONL, b"not JSON\n"),
        (TableFormat.CSV, b"number,text\r\n1,a\r\n"),
        (TableFormat.CSV, b""),
        (TableFormat.PARQUET, b"PAR1"),
    ],
)
def test_another_file_is_refused(format: TableFormat, content: bytes) -> None:
    with pytest.raises(Invalid, match=f"not a {format.value} file"):
        read_table(content, Line, format=format)


@pytest.mark.parametrize("value", ["", "x", "1.5"])
def test_a_cell_of_another_type_is_refused(value: str) -> None:
    content = write_table([], Line, format=TableFormat.CSV) + f"{value},,,,true,2026-01-01,\r\n".encode()
    with pytest.raises(Invalid):
        read_table(content, Line, format=TableFormat.CSV)


def test_only_plain_values_make_a_table() -> None:
    @dataclass(frozen=True)
    class Nested:
        values: list[Any]

    with pytest.raises(TypeError, match="values"):
        columns_of(Nested)
