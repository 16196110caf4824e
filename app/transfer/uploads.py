"""Store uploaded files under safe names, each completely or not at all."""

import re
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from app.errors import Invalid

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_FILE_NAME = 100


def file_name(sent: str) -> str:
    """A safe file name from what a browser sent: the last part of a path, plain characters, never hidden.

    A name that is too long keeps its end, which shows the kind of file.
    """
    plain = _UNSAFE.sub("-", sent.replace("\\", "/").rpartition("/")[2]).lstrip(".-")
    return plain[-LONGEST_FILE_NAME:].lstrip(".-") or "upload"


def keep_upload(content: BinaryIO, sent_name: str, folder: Path) -> Path:
    """Store a file in a new folder below ``folder``. Raises Invalid for an empty file."""
    own = folder / secrets.token_hex(8)
    own.mkdir(parents=True)
    return _written(content, own / file_name(sent_name))


def add_upload(content: BinaryIO, sent_name: str, folder: Path) -> Path:
    """Store a file in ``folder`` itself. Raises Invalid for an empty file and for a name that is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / file_name(sent_name)
    if file.exists():
        raise Invalid(f"There is a file {file.name} already. Rename yours, or import that one.")
    return _written(content, file)


def _written(content: BinaryIO, file: Path) -> Path:
    draft = file.with_name(f".{file.name}.draft")
    with draft.open("wb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
        is_empty = out.tell() == 0
    if is_empty:
        draft.unlink()
        raise Invalid("The uploaded file is empty.")
    draft.rename(file)
    return file
