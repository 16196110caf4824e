"""One file of a corpus: what kind it is, by its content and its name, and its documents."""

import bz2
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from isal import igzip, isal_zlib

from worker.corpora.columnar import arrow_rows, parquet_rows
from worker.corpora.documents import Document, OnSkip, Row, documents_of_rows
from worker.corpora.rows import CannotRead, CsvRows, JsonValues, json_lines
from worker.corpora.text import text_documents

READABLE = "text, JSON lines, JSON arrays, CSV, Parquet and Arrow files, also packed by gzip, bzip2, xz or zstandard"
_LOOK_BYTES = 1 << 13
_TAR_AT = 257

_PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""How a file begins that is unpacked while it is read."""
_UNPACKERS: dict[str, Callable[[Path], Any]] = {"gzip": igzip.IGzipFile, "bz2": bz2.BZ2File, "xz": lzma.LZMAFile}
"""igzip unpacks three times as fast as the standard library; zstandard comes with pyarrow."""
_REFUSED = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"PK\x05\x06": "an empty ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"SQLite format 3\0": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"\x04\x22\x4d\x18": "packed by LZ4: unpack it",
    b"PAR1": "a packed Parquet file: unpack it",
    b"ARROW1": "a packed Arrow file: unpack it",
    b"\xff\xfe": "UTF-16, not UTF-8: convert it, for example with iconv",
    b"\xfe\xff": "UTF-16, not UTF-8: convert it, for example with iconv",
}
"""How a file begins that is not read, and what it is."""
_REFUSED_SUFFIXES = {
    ".br": "packed by Brotli: unpack it",
    ".ipynb": "a notebook, whose text is in cells: convert it to a script or to Markdown, for example with nbconvert",
}
"""The same of files that do not show it in their first bytes."""

_DAMAGED: tuple[Any, ...] = (EOFError, zlib.error, lzma.LZMAError, isal_zlib.IsalError)
"""What the libraries raise on a packed file that is damaged or was cut off."""

Rows = Callable[[BinaryIO, str], Iterable[Row]]


def file_documents(file: Path, name: str, text_field: str, on_skip: OnSkip) -> Iterator[Document]:
    """The documents of a file, in order. What cannot be read of it goes to ``on_skip``, by name and with the reason."""
    try:
        with file.open("rb") as stream:
            begin = stream.read(_LOOK_BYTES)
        if begin.startswith(b"PAR1"):
            yield from documents_of_rows(name, parquet_rows(file, text_field), on_skip)
        elif begin.startswith(b"ARROW1") or file.suffix.lower() == ".arrow":
            yield from documents_of_rows(name, arrow_rows(file, text_field), on_skip)
        else:
            yield from _stream_documents(file, name, text_field, on_skip)
    except CannotRead as error:
        on_skip(name, str(error))
    except OSError as error:
        on_skip(name, error.strerror or str(error))
    except _DAMAGED as error:
        on_skip(name, f"damaged: {str(error).partition(chr(10))[0]}")


def _stream_documents(file: Path, name: str, text_field: str, on_skip: OnSkip) -> Iterator[Document]:
    with _unpacked(file) as (stream, suffix):
        begin = stream.peek(_LOOK_BYTES)[:_LOOK_BYTES]
        _refuse(begin, suffix)
        rows = _rows_of(suffix, begin.removeprefix(b"\xef\xbb\xbf").lstrip(), text_field)
        if rows is None:
            yield from text_documents(stream, name, on_skip)
        else:
            yield from documents_of_rows(name, rows(stream, text_field), on_skip)


@contextmanager
def _unpacked(file: Path) -> Iterator[tuple["io.BufferedReader[io.RawIOBase]", str]]:
    """The content of a file, unpacked, and the suffix of its kind: of ``a.jsonl.gz`` it is ``.jsonl``."""
    with file.open("rb") as stream:
        begin = stream.read(8)
    packing = next((packing for magic, packing in _PACKINGS.items() if begin.startswith(magic)), None)
    suffix = file.suffix if packing is None else Path(file.stem).suffix
    with io.BufferedReader(_opened(file, packing)) as reader:
        yield reader, suffix.lower()


def _opened(file: Path, packing: str | None) -> io.RawIOBase:
    opened: Any
    if packing is None:
        opened = file.open("rb", buffering=0)
    elif packing in _UNPACKERS:
        opened = _UNPACKERS[packing](file)
    else:
        import pyarrow as pa  # takes as long to import as all the rest

        opened = pa.CompressedInputStream(str(file), packing)
    return cast(io.RawIOBase, opened)


def _refuse(begin: bytes, suffix: str) -> None:
    """Raises CannotRead for a kind of file that is not read."""
    if suffix in _REFUSED_SUFFIXES:
        raise CannotRead(_REFUSED_SUFFIXES[suffix])
    for magic, kind in _REFUSED.items():
        if begin.startswith(magic):
            raise CannotRead(kind)
    if begin[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise CannotRead("a tar archive: unpack it")
    if b"\0" in begin:
        raise CannotRead(f"a binary file; read are {READABLE}")


def _rows_of(suffix: str, begin: bytes, text_field: str) -> Rows | None:
    """How to read the rows of a file; None for plain text. ``begin`` is without byte order mark and blanks."""
    if suffix in (".csv", ".tsv"):
        return lambda stream, field: CsvRows(stream, field).rows()
    if suffix not in (".json", ".jsonl", ".ndjson") and not _holds_rows(begin, text_field):
        return None
    # JSON lines are often called .json, and an array .jsonl. An object on a line of its own may be the first of many.
    if begin.startswith(b"[") or (suffix == ".json" and not _is_json(begin.partition(b"\n")[0])):
        return lambda stream, field: JsonValues(stream, field).rows()
    return json_lines


def _holds_rows(begin: bytes, text_field: str) -> bool:
    """Whether a file of any name holds JSON rows with a text: its lines are such objects, or it is an array of them.

    Of an array, and of a line that is longer than what was read, the beginning decides.
    """
    lines = begin.split(b"\n")
    whole = [line for line in (lines[:-1] if len(begin) == _LOOK_BYTES else lines) if line.strip()]
    if whole and not begin.startswith(b"["):
        return all(_has_text(line, text_field) for line in whole)
    name = re.escape(json.dumps(text_field, ensure_ascii=False).encode())
    return re.match(rb"(\[\s*)?\{\s*\"", begin) is not None and re.search(name + rb"\s*:\s*\"", begin) is not None


def _has_text(line: bytes, text_field: str) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and isinstance(row.get(text_field), str)


def _is_json(line: bytes) -> bool:
    """Whether the first line is a whole object, judging by its beginning."""
    line = line.rstrip()
    return line.startswith(b"{") and (line.endswith(b"}") or len(line) > _LOOK_BYTES // 2)
