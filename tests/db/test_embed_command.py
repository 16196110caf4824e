"""``neuron-audit embed`` queues what a worker will embed, once, or says what is missing."""

from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from app.cli.main import cli
from app.db import Sessions, transaction
from app.domain.work import EMBEDDING
from app.errors import Invalid, NotFound
from app.models import Task
from tests.factories import Make


@pytest.fixture
def tiny(fresh_database: str, fresh_sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """A subject named tiny with an explanation, in the database of the settings."""
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("NEURON_AUDIT_DATA_DIR", str(tmp_path))
    with transaction(fresh_sessions) as session:
        make = Make(session)
        make.explained(make.neuron(make.subject("tiny")))
    return fresh_sessions


def embed(*words: str) -> Result:
    return CliRunner().invoke(cli, ["embed", *words])


def tasks(sessions: Sessions) -> list[Task]:
    with sessions() as session:
        return list(session.scalars(select(Task).where(Task.kind == EMBEDDING.name)))


def test_it_queues_a_subject_once(tiny: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_AUDIT_EMBEDDING_MODEL", "/models/tiny")
    first = embed("tiny")
    (task,) = tasks(tiny)
    assert (first.exit_code, first.output) == (0, f"tiny: queued; /tasks/{task.id} shows its progress\n")
    assert "queued already" in embed("tiny").output
    assert len(tasks(tiny)) == 1


def test_a_cap_is_kept_with_the_task(tiny: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_AUDIT_EMBEDDING_MODEL", "/models/tiny")
    assert embed("tiny", "--price-cap", "2.5").exit_code == 0
    (task,) = tasks(tiny)
    assert task.parameters["price_cap"] == 2.5


def test_without_a_model_it_says_which_settings_name_one(tiny: Sessions) -> None:
    refused = embed("tiny")
    assert isinstance(refused.exception, Invalid)
    assert "NEURON_AUDIT_EMBEDDING_MODEL" in str(refused.exception)
    assert tasks(tiny) == []


def test_an_unknown_subject_is_refused(tiny: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_AUDIT_EMBEDDING_MODEL", "/models/tiny")
    assert isinstance(embed("none").exception, NotFound)
    assert embed("tiny", "--price-cap", "-1").exit_code != 0
    assert tasks(tiny) == []
