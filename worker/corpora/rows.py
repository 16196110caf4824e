"""Rows of text files: JSON lines, JSON arrays and values, CSV."""

import codecs
import csv
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from worker.corpora.documents import BLOCK_BYTES, LONGEST_ROW_BYTES, Row

DELIMITERS = (",", "\t", ";", "|")
MOST_FIELDS = 12
TOO_LONG = f"longer than {LONGEST_ROW_BYTES >> 20} MiB"
_KINDS = {list: "a list", dict: "an object", bool: "true or false"}
"""JSON values that are no text and no number, in words."""
_BLANKS = re.compile(r"[ \t\r\n]*")
# Numbers are not used, and Python refuses integers of more than 4,300 digits: a row's text must not depend on them.
_DECODER = json.JSONDecoder(parse_int=float)

# A text may be as long as a row; the library's own bound is for the whole process.
csv.field_size_limit(LONGEST_ROW_BYTES)


class CannotRead(Exception):
    """The rest of a file cannot be read; the message is the reason."""


def json_lines(stream: BinaryIO, field: str) -> Iterator[Row]:
    """One JSON value a line. A line that is not JSON, too long or too deep is a row without text."""
    number = offset = 0
    while line := stream.readline(LONGEST_ROW_BYTES):
        number += 1
        begin, is_whole = offset, line.endswith(b"\n") or len(line) < LONGEST_ROW_BYTES
        offset += len(line)
        if is_whole:
            if line.strip():
                yield row_of_json(number, line.decode("utf-8-sig", "surrogateescape"), field, begin)
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(BLOCK_BYTES)
            offset += len(line)
        yield Row(number, None, TOO_LONG, begin)


def row_of_json(number: int, text: str, field: str, byte_offset: int | None) -> Row:
    """The row of a JSON value: an object with a text under ``field``, or a text."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        return Row(number, None, _not_json(error), byte_offset)
    return row_of_value(number, value, field, byte_offset)


def row_of_value(number: int, value: Any, field: str, byte_offset: int | None) -> Row:
    """The row of a parsed value."""
    if isinstance(value, str):
        return Row(number, value, byte_offset=byte_offset)
    if not isinstance(value, dict):
        return Row(number, None, "neither an object nor a text", byte_offset)
    text = value.get(field)
    if isinstance(text, str):
        return Row(number, text, byte_offset=byte_offset)
    if text is not None:
        return Row(number, None, f"its {field!r} is {_KINDS.get(type(text), 'a number')}, not text", byte_offset)
    return Row(number, None, f"no text under {field!r}; it has {named_fields(list(value))}", byte_offset)


def named_fields(names: list[Any]) -> str:
    """Some of the fields or columns there are, to choose ``--text-field`` from."""
    if not names:
        return "no fields"
    more = " and more" if len(names) > MOST_FIELDS else ""
    return ", ".join(str(name)[:80] for name in names[:MOST_FIELDS]) + f"{more}: name one with --text-field"


def _not_json(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}"


class JsonValues:
    """JSON values one after the other: the elements of an array, or objects that each take several lines.

    A value is parsed as soon as it is whole; no more than one row and a block is held.
    """

    def __init__(self, stream: BinaryIO, field: str) -> None:
        self._stream, self._field = stream, field
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
        self._parse = _DECODER.raw_decode
        self._held = ""
        self._at = 0  # what is held before it is taken already
        self._offset = 0
        self._is_end = False

    def rows(self) -> Iterator[Row]:
        """The values as rows. Raises CannotRead for what is not JSON, with the rows before it read."""
        number = 0
        is_array = self._next_character() == "["
        if is_array:
            self._take_up_to(self._at + 1)
        while (character := self._next_character()) and not (is_array and character == "]"):
            offset = self._offset
            value = self._value(number)
            number += 1
            yield row_of_value(number, value, self._field, offset)
            if is_array and self._next_character() == ",":
                self._take_up_to(self._at + 1)
        if is_array and not character:
            raise CannotRead(f"the JSON array ends after row {number} without a closing bracket")

    def _value(self, number: int) -> Any:
        """The next value, which is taken."""
        while True:
            try:
                value, end = self._parse(self._held, self._at)
            except RecursionError as error:
                raise CannotRead(f"row {number + 1} is nested too deeply") from error
            except ValueError as error:
                if self._is_end:
                    raise CannotRead(f"not JSON after row {number}: {error}") from error
            else:
                if end < len(self._held) or self._is_end:  # a number may go on in the next block
                    self._take_up_to(end)
                    return value
            size = len(self._held) - self._at
            if size >= LONGEST_ROW_BYTES:
                raise CannotRead(f"not JSON after row {number}, or a row {TOO_LONG}")
            # Twice as much each time, so that a long row is parsed few times.
            self._read(min(max(BLOCK_BYTES, size), LONGEST_ROW_BYTES - size))

    def _next_character(self) -> str:
        """The next character that is no blank, without taking it; empty at the end."""
        while True:
            self._take_up_to(_BLANKS.match(self._held, self._at).end())  # type: ignore[union-attr]  # matches anything
            if self._at < len(self._held) or self._is_end:
                return self._held[self._at : self._at + 1]
            self._read(BLOCK_BYTES)

    def _read(self, size: int) -> None:
        block = self._stream.read(size)
        self._is_end = not block
        self._held = self._held[self._at :] + self._decode(block, final=self._is_end)
        self._at = 0

    def _take_up_to(self, end: int) -> None:
        self._offset += len(self._held[self._at : end].encode("utf-8", "surrogateescape"))
        self._at = end


class CsvRows:
    """Rows of comma-separated values with a header; also separated by tabs, semicolons or bars."""

    def __init__(self, stream: BinaryIO, field: str) -> None:
        self._stream, self._field = stream, field
        self._position = 0
        self._row_begin = 0

    def rows(self) -> Iterator[Row]:
        """The rows. Raises CannotRead where the header has no such column, and for a row that is too long."""
        delimiter, column = self._column(self._header())
        reader = csv.reader(self._lines(), delimiter=delimiter)
        number = 0
        while True:
            self._row_begin = self._position
            number += 1
            try:
                values = next(reader, None)
            except csv.Error as error:
                yield Row(number, None, f"not CSV: {error}", self._row_begin)
                continue
            if values is None:
                return
            if len(values) > column:
                yield Row(number, values[column], byte_offset=self._row_begin)
            elif values:
                yield Row(number, None, f"{len(values)} columns, none of them {self._field!r}", self._row_begin)

    def _header(self) -> list[str]:
        """The lines of the header: more than one where a name holds the end of a line."""
        lines = self._lines()
        header = [next(lines, "").removeprefix("\ufeff")]
        while "".join(header).count('"') % 2 and (line := next(lines, "")):
            header.append(line)
        return header

    def _column(self, header: list[str]) -> tuple[str, int]:
        """(delimiter, index of the column). Raises CannotRead."""
        try:
            found = [(delimiter, next(csv.reader(header, delimiter=delimiter), [])) for delimiter in DELIMITERS]
        except csv.Error as error:
            raise CannotRead(f"its header is not CSV: {error}") from error
        for delimiter, names in found:
            if self._field in names:
                return delimiter, names.index(self._field)
        most = max((names for _, names in found), key=len)
        raise CannotRead(f"no column {self._field!r}; it has {named_fields(most)}")

    def _lines(self) -> Iterator[str]:
        """Lines, as the library wants them. Raises CannotRead within a row that is too long.

        What follows it is not read: a quotation mark that is never closed makes one row of all the rest, and where
        rows begin behind it cannot be known.
        """
        while line := self._stream.readline(LONGEST_ROW_BYTES):
            self._position += len(line)
            if self._position - self._row_begin > LONGEST_ROW_BYTES:
                raise CannotRead(f"the row at byte {self._row_begin} is {TOO_LONG}; the rest was not read")
            yield line.decode("utf-8", "surrogateescape")
