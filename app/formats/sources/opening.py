"""Opens the source that a person names: a folder, a file, an archive, an HTTP URL."""

from pathlib import Path

from app.errors import Invalid
from app.formats.sources.archives import TarArchive, ZipArchive
from app.formats.sources.folder import Folder, OneFile
from app.formats.sources.source import Source


def is_address(location: str) -> bool:
    """Whether a source is named by an HTTP URL."""
    return location.startswith(("http://", "https://"))


def local_source(path: Path) -> Source:
    """A folder, file or archive on this machine. Raises Invalid if there is none."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise Invalid(f"There is no folder or file {path}.")
    if path.name.endswith((".tar", ".tar.gz", ".tgz")):
        return TarArchive(path)
    if path.name.endswith(".zip"):
        return ZipArchive(path)
    return OneFile(path)
