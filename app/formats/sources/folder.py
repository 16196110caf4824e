"""A folder of files, or one file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from app.errors import Invalid
from app.formats.bounds import MOST_FOLDERS
from app.formats.problems import ReadingProblem, Refuse, problem
from app.formats.records import Origin
from app.formats.sources.source import Position
from app.formats.sources.unpacking import PACKED, Bounded, Counted, CountedFile, unpacked, without_packing
from app.formats.streams import Entry, natural_order


@dataclass(slots=True)
class Folder:
    """The files of a folder and of the folders in it, numbers within names by value. Hidden ones are left out."""

    path: Path
    _n_files: int | None = field(default=None, init=False)
    _n_done: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def progress(self) -> float:
        if self._n_files is None:
            self._n_files = sum(len(files) for _, _, files in os.walk(self.path))
        return min(1.0, self._n_done / self._n_files) if self._n_files else 1.0

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """See ``Source``. A link that leads out of the folder is refused."""
        root = self.path.resolve()
        start = None if after is None else _order(after.name)

        def is_ahead(name: str) -> bool:
            return start is None or _order(name) > start

        def refuse_ahead(found: ReadingProblem) -> None:
            if is_ahead(found.file):  # the others were noted when they were passed
                refuse(found)

        for ordinal, (name, path) in enumerate(_files(root, root, refuse_ahead), start=1):
            if is_ahead(name):
                yield Position(ordinal, name), file_entry(path, name)
            self._n_done = ordinal


@dataclass(slots=True)
class OneFile(CountedFile):
    """A single file."""

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """See ``Source``."""
        if after is not None:
            return
        name = without_packing(self.path.name)
        yield Position(1, name), Entry(name, self._open, self.path)

    def _open(self) -> Bounded:
        stream, self._counted = _opened(self.path)
        return stream


def file_entry(path: Path, name: str) -> Entry:
    """A file on this machine."""
    return Entry(without_packing(name), partial(_stream, path), path)


def _stream(path: Path) -> Bounded:
    return _opened(path)[0]


def _opened(path: Path) -> tuple[Bounded, Counted]:
    counted = Counted(path.open("rb", buffering=0))
    if path.name.endswith(PACKED):
        return unpacked(counted), counted
    return Bounded(counted), counted


def _order(name: str) -> list[list[tuple[int, int, str]]]:
    """The key by which files are sorted: folder by folder."""
    return [natural_order(part) for part in name.split("/")]


def _files(folder: Path, root: Path, refuse: Refuse) -> Iterator[tuple[str, Path]]:
    try:
        with os.scandir(folder) as found:
            names = sorted((entry.name for entry in found if not entry.name.startswith(".")), key=natural_order)
    except OSError as error:
        if folder == root:
            raise Invalid(f"The folder {root} cannot be read: {error.strerror}.") from error
        refuse(problem(Origin(_name(folder, root)), error.strerror or str(error)))
        return
    for each in names:
        path = folder / each
        try:
            real = path.resolve() if path.is_symlink() else path
        except (RuntimeError, OSError):  # a loop of links
            refuse(problem(Origin(_name(path, root)), "it is a link that leads nowhere"))
            continue
        if not real.is_relative_to(root):
            refuse(problem(Origin(_name(path, root)), "it is a link that leads out of the folder"))
        elif real.is_dir():
            if path.is_symlink():
                refuse(problem(Origin(_name(path, root)), "it is a link to a folder"))
            elif len(path.relative_to(root).parts) > MOST_FOLDERS:
                refuse(problem(Origin(_name(path, root)), f"it lies in more than {MOST_FOLDERS} folders"))
            else:
                yield from _files(path, root, refuse)
        elif real.is_file():
            yield _name(path, root), path
        else:
            refuse(problem(Origin(_name(path, root)), "it is no file"))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
