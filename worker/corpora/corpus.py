"""Open a corpus: a file, a folder, a ``datasets`` name, or a named one.

Documents are read one at a time. What cannot be read is reported to ``on_skip`` by name, and reading continues.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from app.errors import CorpusError
from worker.corpora.documents import CorpusSource, Document, OnSkip, pieces
from worker.corpora.files import file_documents
from worker.corpora.hub import HUB_PREFIX, hub_corpus

TEXT_FIELD = "text"


def open_corpus(spec: str, *, text_field: str = TEXT_FIELD) -> CorpusSource:
    """The corpus that ``spec`` names: a path, ``datasets:NAME[:CONFIGURATION][@SPLIT]``, or a name of ``NAMED``.

    Raises CorpusError for one that is not there.
    """
    if spec in NAMED:
        return CorpusSource(spec, spec, NAMED[spec])
    if spec.startswith(HUB_PREFIX):
        return hub_corpus(spec, text_field)
    path = Path(spec).expanduser()
    if not path.exists():
        raise CorpusError(
            f"There is no file or folder {spec!r}. Known names: {', '.join(sorted(NAMED))}; a Hugging Face data set is "
            "written datasets:NAME."
        )
    if not (path.is_dir() or path.is_file()):
        raise CorpusError(f"{spec!r} is neither a file nor a folder. A corpus is read twice, so it cannot be a pipe.")
    files = _files_of(path)
    name = printable(path.resolve().name)
    size = sum(file.stat().st_size for _, file in files)
    # This decides which texts are read: an unfinished collection resumes only where it is the same.
    source = f"{printable(str(path.resolve()))} ({len(files)} files, {size} bytes, text field {text_field!r})"
    return CorpusSource(name, source, partial(_files, files, text_field))


def printable(name: str) -> str:
    """The name of a file, which may hold bytes that are not text, as text."""
    return name.encode(errors="replace").decode()


def _files_of(path: Path) -> list[tuple[str, Path]]:
    """(name, file) of a file alone, or of every file below a folder in the order of names. Hidden ones are left out.

    Links are followed to files, not to folders, and no file is read twice: a folder of the hub's cache holds nothing
    but links.
    """
    if path.is_file():
        return [(printable(path.name), path)]
    named = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    seen: set[Path] = set()
    found = []
    for name in sorted(named):
        target = named[name].resolve()
        if target not in seen and not any(part.startswith(".") for part in name.split("/")):
            seen.add(target)
            found.append((printable(name), named[name]))
    return found


def _files(files: list[tuple[str, Path]], text_field: str, on_skip: OnSkip) -> Iterator[Document]:
    for name, file in files:
        yield from file_documents(file, name, text_field, on_skip)


def _standard_library(on_skip: OnSkip) -> Iterator[Document]:
    from demo.corpus import standard_library  # no other corpus needs the demo

    for name, text in standard_library(on_skip=on_skip):
        yield from pieces(name, text)


NAMED = {"demo:stdlib": _standard_library}
"""Corpora with a name of their own."""
