"""The compiled loops work whatever folders a user may write, as in the worker's image."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DROP_FROM_BOUNDING_SET = 24
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
"""Of Linux: prctl's PR_CAPBSET_DROP, and the capabilities by which root writes what it may not."""
COUNT = """
from worker.collection import pool_kernels as kernels
import numpy as np
assert kernels.half(np.float32(1)) == 0x3C00
print(sum(kernels.half.stats.cache_misses.values()), sum(kernels.half.stats.cache_hits.values()))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the program that its user may not write, as an installation has it."""
    for package in ("app", "worker"):
        shutil.copytree(ROOT / package, tmp_path / "srv" / package, ignore=shutil.ignore_patterns("__pycache__"))
    lock(tmp_path / "srv")
    return tmp_path / "srv"


def lock(folder: Path) -> None:
    """Take away the right to write in a folder and below."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def without_privilege() -> None:
    """Bind root to the rights of files too."""
    if os.getuid() == 0:
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)


def import_kernels(program: Path, home: Path) -> tuple[int, int]:
    """Run the loops in a process of an unprivileged user: (misses, hits) of the cache on disk."""
    ended = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=program,
        env={"HOME": str(home), "PYTHONPATH": str(program)},
        preexec_fn=without_privilege,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    misses, hits = ended.stdout.split()
    return int(misses), int(hits)


def test_without_any_folder_to_write_each_process_compiles_for_itself(program: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
    lock(tmp_path / "home")
    for _ in range(2):
        assert import_kernels(program, tmp_path / "home") == (1, 0)


def test_with_the_folders_of_the_image_compiled_loops_are_kept(program: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in folders_of_the_image():
        (tmp_path / folder).mkdir(parents=True)
    for parent in (home, home / "audit"):
        parent.chmod(0o555)
    assert import_kernels(program, home / "audit") == (1, 0)
    assert import_kernels(program, home / "audit") == (0, 1)


def folders_of_the_image() -> list[str]:
    """What the image gives to its user, relative to the root. Those on the way to them belong to root."""
    (line,) = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if "install -d" in line]
    return [folder.strip("/") for folder in line.partition("-g audit ")[2].split() if folder.startswith("/home")]


def test_the_image_gives_every_folder_on_the_way_to_a_cache_to_its_user() -> None:
    folders = folders_of_the_image()
    for folder in folders:
        assert {str(p) for p in Path(folder).parents} <= {*folders, ".", "home", "home/audit"}
