"""Files as readers see them: a name, a bounded stream of bytes, lines and documents of bounded length."""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from isal import igzip_lib

from app.errors import Invalid
from app.formats.bounds import MEBIBYTE, MOST_RECORD_BYTES
from app.formats.problems import Refuse, problem
from app.formats.records import Origin

_CHUNK = MEBIBYTE
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DIGITS = re.compile(r"(\d+)")


class BrokenFile(Invalid):
    """The rest of a file cannot be read: it is cut off, or unpacks to more than any honest file."""


_DAMAGED: tuple[Any, ...] = (zlib.error, igzip_lib.IsalError, zipfile.BadZipFile)
READING: tuple[type[Exception], ...] = (BrokenFile, OSError, EOFError, *_DAMAGED)
"""What reading a file, also a packed one, may raise."""


def reading_error(error: Exception) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, BrokenFile):
        return error.message
    if isinstance(error, EOFError):
        return "the packed data end before their end"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the packed data are damaged: {error}"


class Stream(Protocol):
    """Bytes that are read once, from the start."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` further bytes, as many as are there already; none at the end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source. ``name`` is its path there, without the ending of its compression."""

    name: str
    open: "Callable[[], AbstractContextManager[Stream]]"
    path: Path | None = None
    """Where it lies unpacked on this machine: Parquet is read there, since its end says where its parts are."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or a whole document, with where it stands."""

    origin: Origin
    content: bytes | bytearray


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers within names by value: 2.json before 10.json."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name)]


def whole_document(entry: Entry, refuse: Refuse, *, most: int = MOST_RECORD_BYTES) -> Line | None:
    """A file that is one JSON value, without a byte order mark. None, with a problem, where it cannot be read.

    ``most`` bytes are held: more than a record's only where parts of the document are decoded one by one.
    """
    origin = Origin(entry.name)
    content = bytearray()
    try:
        with entry.open() as stream:
            while part := stream.read(_CHUNK):
                content += part
                if len(content) > most:
                    refuse(problem(origin, f"it has more than {most // MEBIBYTE} MiB"))
                    return None
    except READING as error:
        refuse(problem(origin, reading_error(error)))
        return None
    if content.startswith(_BYTE_ORDER_MARK):
        del content[: len(_BYTE_ORDER_MARK)]
    if not content[:_CHUNK].strip():
        refuse(problem(origin, "it is empty"))
        return None
    return Line(origin, content)


def json_lines(entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[Line]:
    """The lines after line ``after`` (counted from 1) that are not blank. One that is too long is refused."""
    number = 0
    try:
        with entry.open() as stream:
            for content in _lines(stream):
                number += 1
                if number == 1 and content is not None:
                    content = content.removeprefix(_BYTE_ORDER_MARK)
                if number <= after or (content is not None and not content.strip()):
                    continue
                origin = Origin(entry.name, number)
                if content is None:
                    refuse(problem(origin, f"the line has more than {MOST_RECORD_BYTES // MEBIBYTE} MiB"))
                else:
                    yield Line(origin, content)
    except READING as error:
        refuse(problem(Origin(entry.name, number + 1), reading_error(error)))


def _lines(stream: Stream) -> Iterator[bytes | None]:
    """Lines without their ends; None for one that is too long. Only the line itself is in memory."""
    pending: list[bytes] = []
    size = 0
    while part := stream.read(_CHUNK):
        *ended, rest = part.split(b"\n")
        for end in ended:
            size += len(end)
            yield b"".join([*pending, end]) if size <= MOST_RECORD_BYTES else None
            pending, size = [], 0
        size += len(rest)
        if size <= MOST_RECORD_BYTES:
            pending.append(rest)
        else:
            pending = []
    if size:
        yield b"".join(pending) if size <= MOST_RECORD_BYTES else None
