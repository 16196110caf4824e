"""Which code is running: stored with every result."""

import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version, with the commit where the code runs from a checkout: ``0.1.0+g1a2b3c4``.

    ``.dirty`` is appended where files differ from the commit. Looked up once per process.
    """
    try:
        package = version("neuron-audit")
    except PackageNotFoundError:
        package = "0"
    commit = _commit()
    return f"{package}+{commit}" if commit else package


def _commit() -> str:
    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        return ""
    done = subprocess.run(  # noqa: S603 - a fixed command on our own folder
        [git, "-C", str(_ROOT), "describe", "--always", "--dirty=.dirty", "--abbrev=10", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    return f"g{done.stdout.strip()}" if done.returncode == 0 else ""
