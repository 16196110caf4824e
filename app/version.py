"""The version of the running code, stored with every result."""

import re
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
COMMIT_FILE = "commit.txt"
"""Contains the commit if there is no checkout: images are built without the git history."""


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version, with the commit where it is known: ``0.1.0+g1a2b3c4``.

    ``.dirty`` is appended if files differ from the commit. Looked up once per process.
    """
    try:
        package = version("neuron-audit")
    except PackageNotFoundError:
        package = "0"
    commit = commit_of(_ROOT)
    return f"{package}+{commit}" if commit else package


def commit_of(root: Path) -> str:
    """The commit of the code in a folder: from its checkout, otherwise from ``COMMIT_FILE``; empty without both."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return _written(root / COMMIT_FILE)
    done = subprocess.run(  # noqa: S603 - a fixed command on our own folder
        [git, "-C", str(root), "describe", "--always", "--dirty=.dirty", "--abbrev=10", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    return f"g{done.stdout.strip()}" if done.returncode == 0 else ""


def _written(file: Path) -> str:
    try:
        commit = file.read_text().strip()
    except OSError:
        return ""
    return f"g{commit[:10]}" if re.fullmatch(r"[0-9a-f]{7,64}", commit) else ""
