"""The memory of a reader does not grow with its file."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.formats.files import write_files
from app.formats.openai.reader import OpenAIReader
from app.formats.own.jsonl import jsonl_lines
from app.formats.problems import ReadingProblem
from app.formats.sources.opening import local_source
from benchmarks.synthetic_files import data_set

MOST_MIB = 500
FILE_BYTES = 700 * 2**20
"""More than may be in memory."""
READ = """
import resource, sys
from pathlib import Path
from app.formats.registry import format_of, reader_of
from app.formats.sources.opening import local_source
source, problems, n = local_source(Path(sys.argv[1])), [], 0
reader = reader_of(format_of(entry for _, entry in source.entries(problems.append)))
for _, entry in source.entries(problems.append):
    for record in reader.records(entry, problems.append):
        n += 1
assert problems == [], problems[0]
# Linux counts the memory of the process that started this one into ru_maxrss, and not into VmHWM.
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
own = [line.split()[1] for line in lines if line.startswith("VmHWM")]
kibibytes = int(own[0]) if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(n, kibibytes // 1024)
"""


def refuse(problem: ReadingProblem) -> None:
    raise AssertionError(problem)


@pytest.fixture
def line(tmp_path: Path) -> bytes:
    """One neuron in our own format, as the exporter writes it."""
    folder = tmp_path / "openai"
    write_files(data_set(1), folder)
    entries = local_source(folder).entries(refuse)
    records = [record for _, entry in entries for record in OpenAIReader().records(entry, refuse)]
    return max(jsonl_lines(records), key=len)


def test_a_file_that_is_larger_than_the_bound_is_read_below_it(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "long.jsonl"
    n_lines = FILE_BYTES // len(line) + 1
    with file.open("wb") as out:
        for _ in range(n_lines):
            out.write(line)
    done = subprocess.run([sys.executable, "-c", READ, str(file)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    n_read, mebibytes = map(int, done.stdout.split())
    assert n_read == n_lines
    assert mebibytes < MOST_MIB
    file.unlink()
