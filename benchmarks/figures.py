"""What every benchmark shares: figures with their targets, the table, the JSON file, the arguments."""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

Figures = Mapping[str, "Figure"]
Measure = Callable[..., Figures]
"""Function from ``quick`` and the benchmark's own options to the figures by key."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``target`` is the value to reach, in words; ``holds`` is whether it was reached.

    Both are None for a number without a target.
    """

    value: float
    unit: str
    target: str | None = None
    holds: bool | None = None


def reported(value: float, unit: str) -> Figure:
    """A number without a target."""
    return Figure(value, unit)


def held_to(value: float, unit: str, sign: Literal[">=", ">", "<=", "<"], bound: float) -> Figure:
    """A number with the bound that it must satisfy, in the same unit."""
    holds = {">=": value >= bound, ">": value > bound, "<=": value <= bound, "<": value < bound}[sign]
    return Figure(value, unit, f"{sign} {bound:g}", holds)


def benchmark(name: str, measure: Measure, **options: int | str) -> None:
    """The main function of ``python -m benchmarks.<name> [--quick] [--json FILE]``.

    Prints a table of what ``measure`` returns and writes the same as JSON where asked to. A missed
    target is shown, not an error: a benchmark measures. ``options`` are further arguments by name, with their
    defaults, that are passed on to ``measure``.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=measure.__doc__)
    parser.add_argument("--quick", action="store_true", help="a shorter measurement, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    for option, default in options.items():
        parser.add_argument(f"--{option}", type=type(default), default=default, help=f"by default {default or 'none'}")
    arguments = parser.parse_args()
    figures = measure(arguments.quick, **{option: getattr(arguments, option) for option in options})
    show(name, figures)
    if arguments.json is not None:
        document = as_document(name, figures)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def as_document(name: str, figures: Figures) -> dict[str, object]:
    """The figures with the machine and the commit that were measured, as JSON."""
    return {
        "name": name,
        "commit": commit(),
        "machine": machine(),
        "figures": {key: asdict(figure) for key, figure in figures.items()},
    }


def show(name: str, figures: Figures) -> None:
    """Print the figures as a small table."""
    table = Table(title=f"{name} · {commit()} · {machine()}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("target")
    table.add_column("holds")
    for key, figure in figures.items():
        holds = "" if figure.holds is None else ("yes" if figure.holds else "NO")
        table.add_row(key, readable(figure.value), figure.unit, figure.target or "", holds)
    Console(width=120).print(table)


def readable(value: float) -> str:
    """A number rounded to readable digits."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2e}" if abs(value) < 0.001 else f"{value:.3g}"


def commit() -> str:
    """The short name of the measured commit, with ``+`` if files differ from it."""
    root = Path(__file__).resolve().parent.parent
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return answer.stdout.strip() or "unknown"


def machine() -> str:
    """Processor, number of cores this process may use, memory, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
