"""``neuron-audit doctor``: what it says of machines that lack one thing or another."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from huggingface_hub import scan_cache_dir
from pydantic import SecretStr
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.doctor import chromium_finding, database_findings, disk_finding, front_end_finding, pdf_finding
from app.cli.main import cli
from app.db import make_engine
from app.domain.diagnosis import CheckState, Finding, room, works
from app.home import files
from app.schema import downgrade
from app.settings import Settings
from worker import machine
from worker.machine import device_finding, loops_finding, models_finding


@pytest.fixture
def run(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command against a database of the test's own."""
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("NEURON_AUDIT_DATA_DIR", str(tmp_path))
    return lambda *words: CliRunner().invoke(cli, ["doctor", *words])


def of(url: str) -> Settings:
    return Settings(database_url=SecretStr(url))


def test_a_machine_that_works_is_said_to_line_by_line(run: Any) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    names = [line[8:].partition(":")[0] for line in done.stdout.splitlines()]
    assert names == [
        "Python", "memory", "disk", "database", "schema", "worker", "front end", "PDF reports", "Chromium",
        "models run on", "compiled loops", "models in the cache",
    ]  # fmt: skip


def test_programs_read_the_same_as_json(run: Any) -> None:
    findings = json.loads(run("--json").stdout)
    assert {"name": "front end", "state": "ok", "found": "htmx is there", "advice": ""} in findings


def test_a_database_without_a_schema_fails_the_command_with_what_to_do(run: Any, fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    downgrade(engine, revision="base")
    engine.dispose()
    done = run()
    assert (done.exit_code, "none yet. Run neuron-audit db migrate" in done.stdout) == (1, True)


def test_a_newer_schema_is_told(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of tomorrow'"))
    engine.dispose()
    assert [(f.name, f.state) for f in database_findings(of(fresh_database))] == [
        ("database", CheckState.OK),
        ("schema", CheckState.BROKEN),
    ]


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    (found,) = database_findings(of("postgresql://user:secretword@127.0.0.1:9/x"))
    assert (found.state, "secretword" in found.line) == (CheckState.BROKEN, False)


@pytest.mark.parametrize(("free", "state"), [(1, "broken"), (5, "limited"), (9, "ok")])
def test_room_is_broken_limited_or_enough(free: int, state: str) -> None:
    found = room("disk", free * 10**9, least=2 * 10**9, enough=8 * 10**9, advice="Make room")
    assert (found.state, found.advice) == (state, "" if state == "ok" else "Make room")
    assert works([found]) == (state != "broken")


def test_the_room_of_a_folder_that_is_not_there_is_that_of_its_disk(tmp_path: Path) -> None:
    assert disk_finding(tmp_path / "not" / "yet").found == disk_finding(tmp_path).found


def test_a_missing_front_end_breaks_everything(tmp_path: Path) -> None:
    assert front_end_finding(tmp_path).state is CheckState.BROKEN
    assert front_end_finding(files("static")).state is CheckState.OK


def test_little_memory_fails_the_command(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()._replace(available=100_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    done = run()
    assert (done.exit_code, "broken  memory: 0.1 GB free" in done.stdout) == (1, True)


def test_without_pango_and_chromium_the_rest_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    findings = [pdf_finding(), chromium_finding()]
    assert [f.state for f in findings] == [CheckState.LIMITED, CheckState.LIMITED]
    assert "libpango" in findings[0].found
    assert works(findings)


def test_without_the_workers_libraries_pages_work(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "worker.machine", None)
    done = run()
    assert done.exit_code == 0, done.output
    assert "limited worker's libraries" in done.stdout


def test_a_device_that_is_not_there_is_broken_and_a_processor_is_slow() -> None:
    assert device_finding("cuda:77").state is CheckState.BROKEN
    assert device_finding("cpu").state is CheckState.LIMITED


def test_a_compiler_that_fails_or_computes_wrongly_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loops_finding().state is CheckState.OK
    monkeypatch.setattr(machine, "compiled_loop", lambda loop: lambda n: -1)
    assert loops_finding().state is CheckState.BROKEN

    def fails(loop: Any) -> Any:
        raise ImportError("no llvm")

    monkeypatch.setattr(machine, "compiled_loop", fails)
    assert "no llvm" in loops_finding().line


def test_models_in_the_cache_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "scan_cache_dir", lambda: scan_cache_dir(tmp_path / "none"))
    assert models_finding().found == "none"
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    monkeypatch.setattr(machine, "scan_cache_dir", lambda: scan_cache_dir(tmp_path / "hub"))
    assert models_finding().found.startswith("org/tiny")


def test_a_line_holds_state_name_finding_and_advice() -> None:
    assert (
        Finding("disk", CheckState.LIMITED, "2.0 GB free", "Make room").line == "limited disk: 2.0 GB free. Make room"
    )
