import json
import sys
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Figures, benchmark, held_to, readable, reported


def test_a_figure_says_whether_its_target_holds() -> None:
    assert held_to(0.93, "of bare", ">=", 0.9) == Figure(0.93, "of bare", ">= 0.9", True)
    assert held_to(12.0, "ms", "<", 10).holds is False
    assert reported(3.0, "GiB").holds is None


def test_a_benchmark_writes_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.x", "--quick", "--json", str(tmp_path / "out" / "x.json")])
    benchmark("x", lambda quick: {"speed": held_to(7.5 if quick else 9, "rows/s", ">", 5)})

    document = json.loads((tmp_path / "out" / "x.json").read_text())
    assert document["figures"] == {"speed": {"value": 7.5, "unit": "rows/s", "target": "> 5", "holds": True}}
    assert set(document) == {"name", "commit", "machine", "figures"}
    assert "7.5" in capsys.readouterr().out


def test_a_benchmark_passes_its_own_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.x", "--size", "7"])
    seen: list[tuple[bool, int, int]] = []

    def measure(quick: bool, size: int, layers: int) -> Figures:
        seen.append((quick, size, layers))
        return {}

    benchmark("x", measure, size=1, layers=2)
    assert seen == [(False, 7, 2)]


def test_numbers_are_readable() -> None:
    assert [readable(x) for x in (3.0, 12345.6, 0.91234, 0.00001234)] == ["3", "12,346", "0.912", "1.23e-05"]
