"""The whole product for browser tests: real processes over the bundled model and a slice of the demo corpus."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

from app.db import Sessions, make_engine, make_sessions, transaction
from app.domain.imports import DataFormat
from app.domain.roles import Role
from app.health import web_is_alive
from app.models import Neuron, Run, Subject, Task
from app.queries.lists.kept import add_to_list, create_list, note_in_list
from app.queries.lists.searches import save_search
from app.queries.methods.definitions import ensure_builtin_methods, newest_method
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import ensure_account
from app.queries.people.logins import create_login_token
from app.queries.runs.active import is_active
from app.settings import Settings
from app.transfer.exporting import ExportRequest
from app.transfer.tasks import enqueue_export
from app.work.enqueue import enqueue_batch

ROOT = Path(__file__).parents[2]
SLUG = "stdlib-gpt2"
N_TOKENS = 40_000
N_EXPLAINED = 30
GUARD_SECONDS = 300.0


@dataclass(frozen=True)
class Site:
    """A running site over its own database."""

    url: str
    sessions: Sessions
    folder: Path
    """Its data folder."""

    def login_address(self, name: str = "alice", role: Role = Role.ADMINISTRATOR) -> str:
        """Where an account of this name logs in, once."""
        with transaction(self.sessions) as session:
            account = ensure_account(session, name=name, role=role)
            return f"{self.url}/login?token={create_login_token(session, account_id=account.id, minutes=5)}"


@contextmanager
def running_site(database: str, folder: Path, *, corpus: str = "demo:stdlib") -> Iterator[Site]:
    """Collect a little, start the web server and a worker, explain some neurons; stop all at the end."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "NEURON_AUDIT_DATA_DIR": str(folder),
        "NEURON_AUDIT_PORT": str(port),
    }
    named = ["--slug", SLUG, "--name", "Standard-library GPT-2"]
    collect = ["collect", "demo/model", corpus, *named, "--max-tokens", str(N_TOKENS)]
    subprocess.run(command(collect), cwd=ROOT, env=environment, check=True, stderr=subprocess.DEVNULL)
    with ExitStack() as stack:
        engine = make_engine(database)
        stack.callback(engine.dispose)
        site = Site(f"http://127.0.0.1:{port}", make_sessions(engine), folder)
        for name in ("serve", "worker"):
            stack.enter_context(running([name], environment, folder / f"{name}.log"))
        settings = Settings(database_url=SecretStr(database), port=port)
        wait_until(lambda: web_is_alive(settings))
        explain_some(site)
        keep_some(site)
        yield site


def explain_some(site: Site) -> None:
    """Explain the first neurons of layer 0 and wait for the worker to have done it."""
    with transaction(site.sessions) as session:
        ensure_builtin_methods(session)
        subject = session.scalars(select(Subject).where(Subject.slug == SLUG)).one()
        chosen = select(Neuron.id).where(Neuron.subject_id == subject.id, Neuron.layer == 0, Neuron.max > 0)
        enqueue_batch(
            session,
            subject_id=subject.id,
            neuron_ids=session.scalars(chosen.order_by(Neuron.index).limit(N_EXPLAINED)).all(),
            method_id=newest_method(session, name="lexical").id,
            account_id=None,
        )
    wait_until(lambda: not active_runs(site))


def keep_some(site: Site) -> None:
    """A list of neurons with a note, a saved search, and an export that a worker has written."""
    with transaction(site.sessions) as session:
        alice = ensure_account(session, name="alice", role=Role.ADMINISTRATOR).id
        subject_id = session.scalars(select(Subject.id).where(Subject.slug == SLUG)).one()
        list_id = create_list(session, slug=SLUG, name="Brackets and imports", account_id=alice)
        chosen = NeuronSelection(subject_id, NeuronFilter(words="import or bracket*"))
        add_to_list(session, list_id=list_id, selection=chosen, account_id=alice)
        first = neurons_page(session, query=NeuronsQuery(subject_id, chosen.filter), size=1).rows[0]
        note = "Compare it with the one below."
        note_in_list(session, list_id=list_id, neuron_id=first.id, note=note, account_id=alice)
        save_search(session, account_id=alice, name="Brackets", address=f"/search?words=bracket*&subject={SLUG}")
        task = enqueue_export(session, request=ExportRequest(SLUG, DataFormat.JSONL), account_id=alice)
    wait_until(lambda: has_ended(site, task.id))


def has_ended(site: Site, task_id: int) -> bool:
    """Whether a task has ended."""
    with transaction(site.sessions) as session:
        return session.get_one(Task, task_id).finished_at is not None


def active_runs(site: Site) -> int:
    """How many neurons wait for a worker."""
    with transaction(site.sessions) as session:
        return len(session.scalars(select(Run.neuron_id).where(is_active())).all())


def command(arguments: list[str]) -> list[str]:
    """The command line of a ``neuron-audit`` process."""
    return [sys.executable, "-m", "app.cli", *arguments]


@contextmanager
def running(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """A process that is asked to stop at the end, and must do so."""
    with log.open("wb") as out:
        process = subprocess.Popen(command(arguments), cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def free_port() -> int:
    """A port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: object, seconds: float = GUARD_SECONDS) -> None:
    """Wait for a condition. The limit is a guard against a hanging test, not a measure."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("the site did not get there")
        time.sleep(0.2)
