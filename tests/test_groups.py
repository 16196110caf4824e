"""What is set up once is set up in one process: tests of a file stay together where several processes run them."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST = """import os
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(6))
def test_where_it_runs(number: int) -> None:
    with (Path(__file__).parent / "seen").open("a") as seen:
        seen.write(f"{Path(__file__).name} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_a_files_tests_run_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_collection_modifyitems\n")
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(TEST)
    command = ["-m", "pytest", "--numprocesses", "2", "--dist", "loadgroup", "--rootdir", str(tmp_path), str(tmp_path)]
    # In the folder that all runs of a user share, a new run keeps other users out, and so the database of this one.
    command += ["--basetemp", str(tmp_path / "its_own")]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stdout.decode()
    processes = defaultdict(list)
    for line in (tmp_path / "seen").read_text().splitlines():
        name, process = line.split()
        processes[name].append(process)
    assert {name: len(found) for name, found in processes.items()} == {"test_one.py": 6, "test_two.py": 6}
    assert all(len(set(found)) == 1 for found in processes.values()), processes
