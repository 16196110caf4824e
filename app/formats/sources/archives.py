"""Archives, read from start to end: nothing is unpacked to disk."""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from app.errors import Invalid
from app.formats.bounds import FREE_BYTES, MOST_MEMBERS, MOST_RATIO
from app.formats.problems import Refuse, problem
from app.formats.records import Origin
from app.formats.sources.source import Position
from app.formats.sources.unpacking import (
    Bounded,
    Counted,
    CountedFile,
    is_link,
    refusal_of_name,
    unpacked,
    without_packing,
)
from app.formats.streams import READING, BrokenFile, Entry, reading_error

MOST_ZIP_MEMBERS = 300_000
"""The directory of a ZIP archive is held in memory; that of a TAR archive is not."""


@dataclass(slots=True)
class TarArchive(CountedFile):
    """The files of a ``.tar`` or ``.tar.gz``, in the order of the archive."""

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """See ``Source``. Links, devices and paths that lead elsewhere are refused."""
        self._counted = counted = Counted(_opened(self.path))
        stream = Bounded(counted) if self.path.name.endswith(".tar") else unpacked(counted)
        ordinal = 0
        try:
            with stream, _tar(stream) as archive:
                for ordinal, member in enumerate(archive, start=1):
                    archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every member it has seen
                    if ordinal > MOST_MEMBERS:
                        refuse(problem(Origin(self.path.name), f"it has more than {MOST_MEMBERS:,} members"))
                        return
                    if after is not None and ordinal <= after.ordinal:
                        continue
                    reason = _refusal(member)
                    if reason is not None:
                        refuse(problem(Origin(member.name), reason))
                    elif member.isfile():
                        position = Position(ordinal, member.name)
                        yield position, Entry(without_packing(member.name), partial(_member, archive, member))
        except tarfile.TarError as error:
            if not ordinal:
                raise Invalid(f"{self.path.name} is not a TAR archive: {error}.") from error
            refuse(problem(Origin(self.path.name), f"the archive is damaged: {error}"))
        except READING as error:
            if not ordinal:
                raise Invalid(f"{self.path.name} is not a TAR archive: {reading_error(error)}.") from error
            refuse(problem(Origin(self.path.name), reading_error(error)))


def _tar(stream: Any) -> tarfile.TarFile:
    """An archive that is read once, from the start."""
    return tarfile.open(fileobj=stream, mode="r|")


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error


def _refusal(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "it is a link"
    if not (member.isfile() or member.isdir()):
        return "it is neither a file nor a folder"
    return refusal_of_name(member.name)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Bounded:
    stream = archive.extractfile(member)
    if stream is None:
        raise BrokenFile("It is no file.")
    if member.name.endswith(".gz"):
        return unpacked(Counted(stream))
    return Bounded(stream)


@dataclass(slots=True)
class ZipArchive:
    """The files of a ``.zip``, in the order of its directory."""

    path: Path
    _n_members: int = field(default=0, init=False)
    _n_done: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def progress(self) -> float:
        return self._n_done / self._n_members if self._n_members else 0.0

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """See ``Source``. Links and paths that lead elsewhere are refused."""
        try:
            archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise Invalid(f"{self.path.name} is not a ZIP archive that can be read: {error}.") from error
        with closing(archive):
            members = archive.infolist()
            self._n_members = len(members)
            if len(members) > MOST_ZIP_MEMBERS:
                raise Invalid(
                    f"{self.path.name} has {len(members):,} members; at most {MOST_ZIP_MEMBERS:,} are read from a ZIP"
                    " archive. Pack them as .tar.gz."
                )
            size, total = self.path.stat().st_size, 0
            for ordinal, member in enumerate(members, start=1):
                self._n_done = ordinal
                if member.is_dir() or (after is not None and ordinal <= after.ordinal):
                    continue
                total += member.file_size
                if total > FREE_BYTES and total > MOST_RATIO * size:
                    refuse(problem(Origin(self.path.name), f"it unpacks to more than {MOST_RATIO} times its size"))
                    return
                reason = _refusal_in_zip(member)
                if reason is not None:
                    refuse(problem(Origin(member.filename), reason))
                    continue
                position = Position(ordinal, member.filename)
                yield position, Entry(without_packing(member.filename), partial(_zipped, archive, member))


def _refusal_in_zip(member: zipfile.ZipInfo) -> str | None:
    if is_link(member.external_attr >> 16):
        return "it is a link"
    if member.flag_bits & 0x1:
        return "it is encrypted"
    return refusal_of_name(member.orig_filename) or refusal_of_name(member.filename)


def _zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Bounded:
    try:
        stream = archive.open(member)
    except (NotImplementedError, RuntimeError) as error:
        raise BrokenFile(f"It cannot be unpacked: {error}.") from error
    if member.filename.endswith(".gz"):
        return unpacked(Counted(stream))
    return Bounded(stream)
