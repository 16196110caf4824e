"""Writing files into a folder, a ZIP or a TAR archive. Existing files are replaced."""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.errors import Invalid


@dataclass(frozen=True, slots=True)
class File:
    """A file of a data set, by its path there."""

    name: str
    content: bytes


class _Sink(Protocol):
    def put(self, file: File) -> None: ...


class _FolderSink:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[Path] = set()

    def put(self, file: File) -> None:
        path = self._folder / file.name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        path.write_bytes(file.content)


class _ZipSink:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def put(self, file: File) -> None:
        # no time stamps, so that the same data give the same archive
        self._archive.writestr(zipfile.ZipInfo(file.name), file.content, zipfile.ZIP_DEFLATED)


class _TarSink:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def put(self, file: File) -> None:
        member = tarfile.TarInfo(file.name)
        member.size = len(file.content)
        self._archive.addfile(member, io.BytesIO(file.content))
        self._archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every member


def write_files(files: Iterable[File], target: Path) -> int:
    """Write files to a folder, or to an archive where the name ends in .zip, .tar or .tar.gz. Returns their number.

    An archive that could not be written to its end is not left under its name. Raises Invalid where the target cannot
    be written.
    """
    n = 0
    try:
        with _sink(target) as sink:
            for file in files:
                sink.put(file)
                n += 1
    except OSError as error:
        raise Invalid(f"{target} cannot be written: {error.strerror or error}.") from error
    return n


@contextmanager
def _sink(target: Path) -> Iterator[_Sink]:
    if target.name.endswith(".zip"):
        with replaced(target) as path, zipfile.ZipFile(path, "w", allowZip64=True) as archive:
            yield _ZipSink(archive)
    elif target.name.endswith((".tar", ".tar.gz", ".tgz")):
        with replaced(target) as path:
            packed = not target.name.endswith(".tar")
            with tarfile.open(path, "w:gz" if packed else "w") as archive:
                yield _TarSink(archive)
    else:
        target.mkdir(parents=True, exist_ok=True)
        yield _FolderSink(target)


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A path beside the target, renamed to the target if the block ends without an error."""
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
