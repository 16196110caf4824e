"""Corpora: a text file, a folder of text files, a JSONL file, a ``datasets`` name, or a named one.

Documents are read one at a time. One that cannot be decoded is told to ``on_skip`` and the rest
goes on.
"""

import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import CorpusError

SEPARATOR = b"<|endoftext|>"
"""Where one document of a text file ends and the next begins, as many published corpora have it."""
LONGEST_DOCUMENT_BYTES = 1 << 20
"""A longer text is cut at the next end of a line, so that no file has to fit in memory."""
TEXT_FIELD = "text"

_HALF_PAIR = re.compile("[\ud800-\udfff]")

OnSkip = Callable[[str, str], None]
"""Told a document's name and why it was left out."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a corpus, and where in its file it begins, in bytes."""

    name: str
    text: str
    byte_offset: int | None = None


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A corpus that can be read from its beginning any number of times."""

    name: str
    source: str
    read: Callable[[OnSkip], Iterable[Document]]


def corpus_of(name: str, documents: Iterable[tuple[str, str]]) -> CorpusSource:
    """A corpus of (name, text) pairs at hand."""
    kept = [Document(document, text) for document, text in documents]
    return CorpusSource(name, name, lambda on_skip: kept)


def open_corpus(spec: str, *, text_field: str = TEXT_FIELD) -> CorpusSource:
    """The corpus that ``spec`` names: a path, ``datasets:NAME[:CONFIGURATION][@SPLIT]``, or a name of ``NAMED``.

    Raises CorpusError for one that is not there.
    """
    if spec in NAMED:
        return CorpusSource(spec, spec, NAMED[spec])
    if spec.startswith("datasets:"):
        return CorpusSource(spec, spec, lambda on_skip: _from_datasets(spec, text_field, on_skip))
    path = Path(spec).expanduser()
    if path.is_dir():
        return CorpusSource(path.resolve().name, spec, lambda on_skip: _folder(path, on_skip))
    if not path.is_file():
        raise CorpusError(
            f"There is no file or folder {spec!r}. Known names: {', '.join(sorted(NAMED))}; a Hugging Face data set is "
            "written datasets:NAME."
        )
    if path.suffix in (".jsonl", ".ndjson"):
        return CorpusSource(path.name, spec, lambda on_skip: _json_lines(path, text_field, on_skip))
    return CorpusSource(path.name, spec, lambda on_skip: _text_file(path, path.name, on_skip))


def _folder(folder: Path, on_skip: OnSkip) -> Iterator[Document]:
    """Every text file below, in the order of names; hidden ones and links are left alone."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    for file in sorted(files, key=lambda p: p.relative_to(folder).as_posix()):
        name = file.relative_to(folder)
        if not any(part.startswith(".") for part in name.parts):
            # A file name may hold bytes that are no text.
            yield from _text_file(file, name.as_posix().encode(errors="replace").decode(), on_skip)


def _text_file(file: Path, name: str, on_skip: OnSkip) -> Iterator[Document]:
    try:
        with file.open("rb") as stream:
            for offset, data in _split(stream):
                yield from _decoded(name, offset, data, on_skip)
    except OSError as error:
        on_skip(name, str(error))


def _split(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the documents of a text file."""
    held: list[bytes] = []
    start = position = 0
    for line in stream:
        for index, part in enumerate(line.split(SEPARATOR)):
            if index:
                yield start, b"".join(held)
                position += len(SEPARATOR)
                start, held = position, []
            held.append(part)
            position += len(part)
        if position - start > LONGEST_DOCUMENT_BYTES:
            yield start, b"".join(held)
            start, held = position, []
    yield start, b"".join(held)


def _decoded(name: str, offset: int, data: bytes, on_skip: OnSkip) -> Iterator[Document]:
    try:
        text = data.decode("utf-8-sig" if offset == 0 else "utf-8")
    except UnicodeDecodeError as error:
        on_skip(f"{name} at byte {offset}", f"not UTF-8: {error.reason} at byte {offset + error.start}")
        return
    lead = len(text) - len(text.lstrip("\r\n"))
    if text.strip():
        yield Document(name, text[lead:], offset + lead)


def _json_lines(file: Path, text_field: str, on_skip: OnSkip) -> Iterator[Document]:
    offset = 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            name = f"{file.name}:{number}"
            if line.strip():
                text = _text_of(line, text_field)
                if text is None:
                    on_skip(name, f"no JSON object with a text under {text_field!r}")
                elif text.strip():
                    yield Document(name, text, offset)
            offset += len(line)


def _text_of(line: bytes, text_field: str) -> str | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    text = row.get(text_field) if isinstance(row, dict) else None
    # JSON can spell half of a surrogate pair, which no UTF-8 text can hold.
    return text if isinstance(text, str) and not _HALF_PAIR.search(text) else None


def _standard_library(on_skip: OnSkip) -> Iterator[Document]:
    from demo.corpus import standard_library  # no other corpus needs the demo

    for name, text in standard_library(on_skip=on_skip):
        yield Document(name, text)


NAMED = {"demo:stdlib": _standard_library}
"""Corpora with a name of their own."""


def _from_datasets(spec: str, text_field: str, on_skip: OnSkip) -> Iterator[Document]:
    """Streamed, so that nothing is downloaded beyond what is read."""
    datasets = importlib.import_module("datasets")
    path, _, split = spec.removeprefix("datasets:").partition("@")
    name, _, configuration = path.partition(":")
    try:
        rows = datasets.load_dataset(name, configuration or None, split=split or "train", streaming=True)
    except (OSError, ValueError) as error:
        raise CorpusError(f"The data set {name!r} cannot be read: {error}") from error
    for number, row in enumerate(rows):
        text = row.get(text_field)
        if not isinstance(text, str):
            on_skip(f"{name}:{number}", f"no text under {text_field!r}")
        elif text.strip():
            yield Document(f"{name}:{number}", text)
