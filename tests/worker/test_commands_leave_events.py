"""Every command that changes something leaves its event, and every other command leaves none."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import select
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions, transaction
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult
from app.models import Account, Event, Neuron, SecondFactor
from app.queries.explanations.store import Author, store_explanation
from tests.llm_server import LlmServer
from tests.openai_files import write_data_set
from tests.worker.models import save_model
from tests.worker.test_providers_commands import able_brain

APART = {
    "serve": "a program: its routes are in tests/web/test_mutations.py",
    "worker": "a program: each of its results leaves an event, see tests/worker/test_worker.py",
    "demo": "starts both programs and other commands",
    "db downgrade": "removes the history with all else",
    "provider replay": "the call that it makes is stored itself, see tests/worker/test_providers_replay.py",
}


@dataclass(frozen=True)
class Command:
    """A command as a person types it, and the events that it leaves, in order."""

    name: str
    arguments: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    typed: str | None = None
    is_read_only: bool = False
    """It may fail: whatever it reads is not there."""


CHANGING = (
    Command("db migrate"),  # stores the built-in methods of the code; the table of embeddings is made
    Command("user add", ("eva", "--role", "administrator"), ("account.added",)),
    Command("user add", ("dora", "--role", "reviewer"), ("account.added",)),
    Command("user login", ("dora",), ("account.invited",)),
    Command("user role", ("dora", "operator"), ("account.role_changed",)),
    Command("user reset-factor", ("dora",), ("factor.removed",)),
    Command("user disable", ("dora",), ("account.disabled",)),
    Command("user enable", ("dora",), ("account.enabled",)),
    Command(
        "provider add",
        ("house", "m", "--base-url", "{endpoint}", "--allow", "127.0.0.0/8"),
        ("provider.added",),
    ),
    Command("provider key", ("house",), ("provider.key_set",), "a key of twenty letters\n"),
    Command("provider probe", ("house",), ("provider.probed",)),
    Command("provider cap", ("2.5", "--person", "dora"), ("cap.set",)),
    Command("provider disable", ("house",), ("provider.disabled",)),
    Command("provider enable", ("house",), ("provider.enabled",)),
    Command("provider remove", ("house",), ("provider.removed",)),
    Command("collect", ("{model}", "{corpus}", "--slug", "tiny", "--context-length", "8"), ("collection.completed",)),
    Command("check", ("tiny", "--corpus", "{corpus}"), ("check.completed",)),
    Command("doubts", ("tiny",)),  # derived from what has left its events
    Command("db recount"),  # derived as well
    Command("embed", ("tiny",), ("task.queued",)),
    # Two transactions, hours apart for a large data set.
    Command("import", ("{published}", "--subject", "published"), ("import.started", "import.completed")),
    Command("import", ("{published}", "--subject", "again", "--queue"), ("task.queued",)),
)
READ_ONLY = tuple(
    Command(name, arguments, is_read_only=True)
    for name, arguments in {
        "settings": (),
        "steps": (),
        "doctor": (),
        "report": ("1", "--output", "{folder}/report.html"),
        "campaign-table": ("1", "verdicts", "--output", "{folder}/verdicts.csv"),
        "export": ("tiny", "--output", "{folder}/tiny.jsonl"),
        "db check": (),
        "db where": (),
        "user list": (),
        "user roles": (),
        "history verify": (),
        "history head": (),
        "provider list": (),
        "health web": (),
        "health worker": (),
    }.items()
)


def names(command: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command of a tree."""
    inner_commands = getattr(command, "commands", None)
    if inner_commands is not None:
        for name, inner in inner_commands.items():
            yield from names(inner, (*before, name))
    else:
        yield " ".join(before)


def test_the_lists_have_every_command() -> None:
    listed = {command.name for command in (*CHANGING, *READ_ONLY)}
    assert listed | set(APART) == set(names(typer.main.get_command(cli)))
    assert not listed & set(APART)


def events_of(sessions: Sessions) -> list[str]:
    with sessions() as session:
        return list(session.scalars(select(Event.kind).order_by(Event.id)))


def prepared(sessions: Sessions, command: Command) -> None:
    """What has to be there before a command: the authenticator that is lost, and a text that can be executed."""
    with transaction(sessions) as session:
        if command.name == "user reset-factor":
            dora = session.scalars(select(Account.id).where(Account.name == "dora")).one()
            session.add(SecondFactor(account_id=dora, secret_encrypted=b"sealed", last_step=0, recovery_hashes=[]))
        if command.name == "check":
            neuron_id = session.scalars(select(Neuron.id).order_by(Neuron.id).limit(1)).one()
            by = Author(AuthorKind.PERSON, "dora")
            store_explanation(session, neuron_id=neuron_id, result=ExplanationResult('fires on "a"'), author=by)


def test_each_command_leaves_exactly_its_events(
    fresh_database: str, fresh_sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other over one database, as an operator would type them."""
    corpus, model = tmp_path / "corpus.txt", save_model(tmp_path / "model")
    corpus.write_text("a text about cats\n\nanother about dogs and a few more words\n" * 20)
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("NEURON_AUDIT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NEURON_AUDIT_EMBEDDING_MODEL", str(model))
    with ExitStack() as stack:
        values = {
            "endpoint": stack.enter_context(LlmServer(brain=able_brain)).url,
            "model": model,
            "corpus": corpus,
            "published": write_data_set(tmp_path / "published"),
            "folder": tmp_path,
        }
        left: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        for command in (*CHANGING, *READ_ONLY):
            prepared(fresh_sessions, command)
            before = len(events_of(fresh_sessions))
            words = [*command.name.split(), *(each.format(**values) for each in command.arguments)]
            done = CliRunner().invoke(cli, words, input=command.typed)
            assert done.exit_code == 0 or command.is_read_only, (words, done.output, done.exception)
            after = tuple(events_of(fresh_sessions)[before:])
            if after != command.events:
                left[" ".join(words)] = after, command.events
    assert left == {}
