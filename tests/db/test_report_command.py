"""``neuron-audit report`` and ``neuron-audit campaign-table`` on a database of their own."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

from app.cli.main import cli
from app.db import Sessions, transaction
from app.formats.tables import TableFormat, read_table
from app.models import Event
from app.queries.audit.export import VerdictLine
from app.queries.history.chain import chain_head
from tests.db.auditing import audited
from tests.factories import Make

Run = Callable[..., Result]


@pytest.fixture
def run(fresh_database: str, fresh_sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command over a database that holds an audit, committed."""
    with transaction(fresh_sessions) as session:
        campaign_id = audited(Make(session), ended=True).campaign_id
    monkeypatch.setenv("DATABASE_URL", fresh_database)

    def invoke(command: str, *words: str) -> Result:
        return CliRunner().invoke(cli, [command, str(campaign_id), *words])

    return invoke


def test_a_report_is_written_in_three_forms_and_two_languages(
    run: Run, tmp_path: Path, fresh_sessions: Sessions
) -> None:
    for name in ("one.json", "again.json"):
        assert run("report", "--format", "json", "--output", str(tmp_path / name)).exit_code == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    identity = json.loads((tmp_path / "one.json").read_text())["identity"]
    with transaction(fresh_sessions) as session:
        assert identity["history_head"] == chain_head(session)
        assert identity["n_events"] == session.scalar(select(func.count()).select_from(Event))  # and not the seals
    for language, words in (("en", "Audit report"), ("fr", "Rapport d’audit")):
        html, pdf = tmp_path / f"{language}.html", tmp_path / f"{language}.pdf"
        assert run("report", "--language", language, "--output", str(html)).exit_code == 0
        done = run("report", "--format", "pdf", "--language", language, "--output", str(pdf))
        assert identity["digest"] in done.output
        assert words in html.read_text()
        assert words in PdfReader(BytesIO(pdf.read_bytes())).pages[0].extract_text()


def test_every_verdict_is_exported(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "verdicts.csv"
    done = run("campaign-table", "verdicts", "--format", "csv", "--output", str(file))
    lines = read_table(file.read_bytes(), VerdictLine, format=TableFormat.CSV)
    assert f"{len(lines)} lines" in done.output
    assert {line.reviewer for line in lines} == {"alice", "bob", "dora"}


def test_an_unknown_campaign_is_refused(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    done = CliRunner().invoke(cli, ["report", "99", "--output", str(tmp_path / "none.html")])
    assert done.exit_code != 0
    assert not (tmp_path / "none.html").exists()
