"""Folders of the installation for data in and out. Web processes and workers must see them under the same paths."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from app.errors import Invalid
from app.settings import Settings

KEEP_UPLOADS_DAYS = 30
_DAY_SECONDS = 86_400


def imports_folder(settings: Settings) -> Path:
    """The folder from which pages import."""
    return settings.import_dir or settings.data_dir / "imports"


def exports_folder(settings: Settings) -> Path:
    """The folder into which workers write exports, and from which pages serve them."""
    return settings.data_dir / "exports"


def uploads_folder(settings: Settings) -> Path:
    """The folder for uploaded files, each in a subfolder of its own."""
    return (settings.data_dir / "uploads").absolute()


def subject_folders(settings: Settings) -> tuple[Path, ...]:
    """The folders below which the form of a new subject may name models and texts."""
    named = tuple(Path(name.strip()).expanduser() for name in settings.subject_dirs.split(",") if name.strip())
    return tuple(folder.absolute() for folder in named or (settings.data_dir / "subjects",))


def confined(path: str, folders: Sequence[Path]) -> Path:
    """The path with its links followed. Raises Invalid unless it is there and below one of the folders."""
    resolved = Path(path).resolve()
    if not any(resolved.is_relative_to(folder.resolve()) for folder in folders):
        named = ", ".join(str(folder) for folder in folders)
        raise Invalid(
            f"{path} is not below a folder that pages may read: {named}. NEURON_AUDIT_SUBJECT_DIRS names them."
        )
    if not resolved.exists():
        raise Invalid(f"There is no {path} on this machine. Web server and workers must see it under the same path.")
    return resolved


def delete_old_uploads(settings: Settings, *, days: float = KEEP_UPLOADS_DAYS) -> None:
    """Delete the folders of uploads older than this; a collection needs its text until it is complete."""
    folder = uploads_folder(settings)
    too_old = time.time() - days * _DAY_SECONDS
    for upload in folder.iterdir() if folder.is_dir() else ():
        if upload.stat().st_mtime < too_old:
            shutil.rmtree(upload, ignore_errors=True)
