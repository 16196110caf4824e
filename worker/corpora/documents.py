"""Documents, and the bounds that keep one text or one row from filling the memory."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

LONGEST_DOCUMENT_BYTES = 1 << 20
"""A longer text is cut into several documents, so that none has to be held or tokenized whole."""
LONGEST_ROW_BYTES = 1 << 24
"""A longer row of a file is left out."""
BLOCK_BYTES = 1 << 16
ROWS_WITHOUT_TEXT = 1000
"""A file or data set whose first rows have no text, so many of them, is not read further."""

_HALF_PAIR = re.compile("[\ud800-\udfff]")

OnSkip = Callable[[str, str], None]
"""Given a document's name and why it was left out."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a corpus, and where in its file it begins, in bytes. In a compressed file: of what it unpacks to."""

    name: str
    text: str
    byte_offset: int | None = None


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A corpus that can be read from its beginning any number of times.

    ``source`` is what it was opened by, with all that decides which texts are read.
    """

    name: str
    source: str
    read: Callable[[OnSkip], Iterable[Document]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its text, or why it has none. ``number`` counts from 1; ``byte_offset`` as in Document."""

    number: int
    text: str | None
    reason: str = ""
    byte_offset: int | None = None


def documents_of_rows(name: str, rows: Iterable[Row], on_skip: OnSkip) -> Iterator[Document]:
    """The texts of rows as documents ``name:number``. Rows without one go to ``on_skip``; empty ones are nothing."""
    has_text, n_without = False, 0
    for row in rows:
        label = f"{name}:{row.number}"
        reason = row.reason
        if row.text is not None and _HALF_PAIR.search(row.text):
            # JSON can spell half of a surrogate pair, and bytes that are not UTF-8 are read as halves.
            reason = "not UTF-8, or half of a surrogate pair"
        if reason:
            on_skip(label, reason)
            n_without += 1
            if n_without == ROWS_WITHOUT_TEXT and not has_text:
                on_skip(name, f"none of its first {ROWS_WITHOUT_TEXT} rows has a text; the rest was not read")
                return
        elif row.text is not None and row.text.strip():
            has_text = True
            yield from pieces(label, row.text, row.byte_offset)


def pieces(name: str, text: str, byte_offset: int | None = None) -> Iterator[Document]:
    """A text as one document, or cut into several where it is too long: at ends of lines, at spaces, else anywhere."""
    if len(text) * 4 <= LONGEST_DOCUMENT_BYTES:  # a character has at most four bytes
        yield Document(name, text, byte_offset)
        return
    data = text.encode()
    start = number = 0
    while start < len(data):
        end = start + cut_at(data[start : start + 2 * LONGEST_DOCUMENT_BYTES])
        number += 1
        yield Document(name if number == 1 else f"{name} part {number}", data[start:end].decode(), byte_offset)
        start = end


def cut_at(data: bytes | bytearray) -> int:
    """Where to cut a text of which ``data`` is the beginning: all of it where it is short enough.

    Behind the first end of a line beyond ``LONGEST_DOCUMENT_BYTES``, else behind the last space, else before a
    character.
    """
    if len(data) <= LONGEST_DOCUMENT_BYTES:
        return len(data)
    line_end = data.find(b"\n", LONGEST_DOCUMENT_BYTES - 1)
    if line_end >= 0:
        return line_end + 1
    space = data.rfind(b" ", 1, LONGEST_DOCUMENT_BYTES)
    if space >= 0:
        return space + 1
    end = LONGEST_DOCUMENT_BYTES
    while end > 1 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end
