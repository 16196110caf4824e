"""How fast files are read: records by our reader, against ``orjson.loads`` alone over the same files in the same run.

``python -m benchmarks.formats --neurons 500`` writes that many neurons in OpenAI's format and in our own to a temporary
folder and reads each several times. A reader does more than ``loads``: it opens and bounds the file, decodes to types,
checks each record, and builds the model that all formats share. Processor time, best of the rounds, and the highest
memory of the process. With ``--json FILE`` the figures are also written there.
"""

import argparse
import gc
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from app.formats.files import write_files
from app.formats.openai.reader import OpenAIReader
from app.formats.own.jsonl import JsonlReader, jsonl_lines
from app.formats.problems import ReadingProblem
from app.formats.reader import Reader
from app.formats.sources.opening import local_source
from benchmarks.synthetic_files import data_set

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Speed:
    """One way of reading: bytes of JSON per second of processor time."""

    what: str
    megabytes: float
    seconds: float

    @property
    def per_second(self) -> float:
        """MB/s."""
        return self.megabytes / self.seconds


def read_records(reader: Reader, path: Path) -> int:
    """Read a source whole; returns the number of its records."""
    problems: list[ReadingProblem] = []
    n = 0
    for _, entry in local_source(path).entries(problems.append):
        for _record in reader.records(entry, problems.append):
            n += 1
    if problems:
        raise SystemExit(f"the benchmark's own files are refused: {problems[0]}")
    return n


def load_lines(path: Path) -> int:
    """``orjson.loads`` on every file of a folder, or on every line of a file."""
    n = 0
    for file in sorted(path.rglob("*.json*")) if path.is_dir() else [path]:
        content = file.read_bytes()
        for line in content.splitlines() if file.suffix == ".jsonl" else [content]:
            orjson.loads(line)
            n += 1
    return n


def best_of(action: Callable[[], object]) -> float:
    """The least processor time of several rounds."""
    seconds = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        action()
        seconds.append(time.process_time() - start)
    return min(seconds)


def measure(n_neurons: int) -> list[Speed]:
    """Our readers and ``orjson`` over the same files."""
    with tempfile.TemporaryDirectory(prefix="neuron-audit-") as name:
        folder, lines = Path(name) / "openai", Path(name) / "own.jsonl"
        write_files(data_set(n_neurons), folder)
        size = sum(file.stat().st_size for file in folder.rglob("*.json*")) / 1e6
        records = (
            record
            for _, entry in local_source(folder).entries(_raise)
            for record in OpenAIReader().records(entry, _raise)
        )
        with lines.open("wb") as file:
            file.writelines(jsonl_lines(records))
        own = lines.stat().st_size / 1e6
        return [
            Speed("OpenAI's files, our reader", size, best_of(lambda: read_records(OpenAIReader(), folder))),
            Speed("OpenAI's files, orjson.loads alone", size, best_of(lambda: load_lines(folder))),
            Speed("our JSON lines, our reader", own, best_of(lambda: read_records(JsonlReader(), lines))),
            Speed("our JSON lines, orjson.loads alone", own, best_of(lambda: load_lines(lines))),
        ]


def _raise(found: ReadingProblem) -> None:
    raise SystemExit(f"the benchmark's own files are refused: {found}")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__)
    parser.add_argument("--neurons", type=int, default=500)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    speeds = measure(arguments.neurons)
    table = Table("what", "MB", "MB/s", "times orjson")
    for i, speed in enumerate(speeds):
        ratio = speed.seconds / speeds[i | 1].seconds
        table.add_row(speed.what, f"{speed.megabytes:,.0f}", f"{speed.per_second:,.0f}", f"{ratio:.2f}")
    Console().print(table)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Console().print(f"highest memory of the process: {memory:,.0f} MiB")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"memory_mib": memory, "speeds": [asdict(speed) for speed in speeds]}))


if __name__ == "__main__":
    main()
