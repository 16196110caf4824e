"""Streams that unpack within bounds, and names of members that stay where they belong."""

import io
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import Any, Protocol, Self

from isal import igzip

from app.formats.bounds import FREE_BYTES, MOST_FILE_BYTES, MOST_NAME, MOST_RATIO
from app.formats.streams import BrokenFile

PACKED = (".gz",)


class Readable(Protocol):
    """What can be read and closed."""

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...


class Counted(io.RawIOBase):
    """A stream whose bytes are counted as they are read."""

    def __init__(self, file: Readable) -> None:
        super().__init__()
        self._file = file
        self.n_read = 0

    def share_of(self, path: Path) -> float:
        """The share of the file at ``path`` that has been read, 0..1."""
        size = path.stat().st_size
        return min(1.0, self.n_read / size) if size else 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        self.n_read += len(part)
        return len(part)

    def read(self, size: int = -1, /) -> bytes:
        part = self._file.read(size)
        self.n_read += len(part)
        return part

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(slots=True)
class CountedFile:
    """One file as a source, with its bytes counted as they come off the disk."""

    path: Path
    _counted: Counted | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """The name of the source, as a person gave it."""
        return str(self.path)

    @property
    def progress(self) -> float:
        """The share of the file that has been read, 0..1."""
        return 0.0 if self._counted is None else self._counted.share_of(self.path)


class Bounded:
    """A stream that raises BrokenFile where more comes out of it than any honest file unpacks to.

    ``packed`` is how many packed bytes have gone in so far; None where nothing is packed.
    """

    def __init__(self, stream: Readable, packed: Counted | None = None) -> None:
        self._stream, self._packed = stream, packed
        self._read1 = getattr(stream, "read1", None)
        self._n = 0

    def read(self, size: int = -1) -> bytes:
        part = self._read(size)
        self._n += len(part)
        if self._n > MOST_FILE_BYTES:
            raise BrokenFile("It is longer than any file that is read.")
        if self._packed is not None:
            check_ratio(self._n, self._packed.n_read)
        return part

    def _read(self, size: int) -> bytes:
        # What was unpacked before damaged data is returned first: the good records stay.
        found: bytes = self._stream.read(size) if self._read1 is None or size < 0 else self._read1(size)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()
        if self._packed is not None:
            self._packed.close()


def check_ratio(n_unpacked: int, n_packed: int) -> None:
    """Raises BrokenFile where more bytes come out of packed ones than any honest file unpacks to."""
    if n_unpacked > FREE_BYTES and n_unpacked > MOST_RATIO * n_packed:
        raise BrokenFile(f"It unpacks to more than {MOST_RATIO} times its size.")


def unpacked(counted: Counted) -> Bounded:
    """The contents of a gzip file."""
    return Bounded(_igzip(counted), counted)


def _igzip(file: Counted) -> Any:
    return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]  # it ships no types


def without_packing(name: str) -> str:
    """The name of what a packed file holds."""
    return next((name.removesuffix(end) for end in PACKED if name.endswith(end)), name)


def refusal_of_name(name: str) -> str | None:
    """Why a member of an archive may not have this name; None where it may."""
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if len(name) > MOST_NAME:
        return "its name is too long"
    if "\x00" in name:
        return "its name holds a NUL"
    if path.is_absolute() or windows.is_absolute() or windows.drive:
        return "its path is absolute"
    if ".." in path.parts or ".." in windows.parts:
        return "its path leads out of the archive"
    return None


def is_link(mode: int) -> bool:
    """Whether a member of a ZIP archive is a symbolic link."""
    return stat.S_ISLNK(mode)
