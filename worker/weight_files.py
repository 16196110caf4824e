"""The weight files of a checkpoint: which ones are read, whether they are whole, and their digest."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from app.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LFS_POINTER = b"version https://git-lfs"
"""The first bytes of what Git writes in place of a large file."""
LONGEST_REASON = 300


def check_weight_files(folder: Path) -> int:
    """Read the headers of the weight files. Returns their size in bytes.

    Raises CheckpointError where there are none, where one of the index is missing, and for one that is cut off.
    """
    files = weight_files(folder)
    if not files:
        raise CheckpointError(
            f"{folder.name} has no weights: neither {SINGLE} nor {INDEX} is there. Other formats (pytorch_model.bin, "
            "GGUF) are not read: convert the weights to safetensors."
        )
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"{folder.name}: {file.name}, which {INDEX} names, is missing.")
        _check_weight_file(file)
    return sum(file.stat().st_size for file in files)


def _check_weight_file(file: Path) -> None:
    with file.open("rb") as stream:
        if stream.read(len(LFS_POINTER)) == LFS_POINTER:
            raise CheckpointError(
                f"{file.parent.name}: {file.name} holds no weights, but where Git LFS keeps them: run git lfs pull."
            )
    try:
        with safe_open(file, framework="pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file.parent.name}: {file.name} is damaged or cut off; copy or download it again. ({reason_of(error)})"
        ) from error


def weights_digest(folder: Path) -> str:
    """SHA-256 over the weight files that are loaded, names and sizes included."""
    digest = hashlib.sha256()
    for file in weight_files(folder):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers reads: the single one, else those of the index; by name."""
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    found = json_object(folder / INDEX).get("weight_map")
    names = found.values() if isinstance(found, dict) else ()
    return [folder / name for name in sorted({name for name in names if isinstance(name, str)})]


def reason_of(error: BaseException) -> str:
    """The first line of an error, which may be followed by advice about the library's own arguments. All lines where
    the first only announces them.
    """
    if isinstance(error, KeyError) and len(str(error).split()) == 1:
        return f"there is no {error}"  # a KeyError's text is the key alone
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if text.endswith(":"):
        text = " ".join(lines)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def json_object(file: Path) -> Mapping[str, Any]:
    """A JSON object in a file; empty without the file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
