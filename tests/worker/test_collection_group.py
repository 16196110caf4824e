"""Several processes share a collection under torchrun, over gloo on loopback: the same rows as from one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select

from app.db import Sessions, make_engine, make_sessions
from app.models import CollectedNeuron, Collection
from tests.browser.site import free_port
from tests.conftest import cloned_database
from tests.worker.collecting import some_text
from tests.worker.models import save_model
from tests.worker.test_collection_run import rows, statistics
from worker.collection.group import ALONE, Group
from worker.collection.passes import Part

ROOT = Path(__file__).parents[2]
N_EXCERPTS = 3000
"""Three shards, so that two processes have different numbers of them."""


class Bench:
    """A model and a text, and databases that collections are stored in."""

    def __init__(self, server_url: str, folder: Path) -> None:
        self.server_url, self.folder = server_url, folder
        self.model = save_model(folder / "model")
        self.corpus = folder / "corpus.txt"
        self.corpus.write_text("\n<|endoftext|>\n".join(text for _, text in some_text(N_EXCERPTS)))

    def collect(self, database: str, data: str, *, n: int, code: str = "") -> subprocess.CompletedProcess[str]:
        """Collect with ``n`` processes. ``code`` is run in each before the command."""
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n)]
        launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
        program = ["-m", "worker.collection"]
        if code:
            script = self.folder / "damaged.py"
            script.write_text(
                f"import sys\n{code}\nfrom app.cli.main import main\nsys.argv.insert(1, 'collect')\nmain()\n"
            )
            program = [str(script)]
        arguments = [str(self.model), str(self.corpus), "--slug", "tiny", "--context-length", "8"]
        environment = {
            **os.environ,
            "DATABASE_URL": database,
            "NEURON_AUDIT_DATA_DIR": str(self.folder / data),
            "NEURON_AUDIT_DEVICE": "cpu",
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [*launcher, *program, *arguments], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
        )


@pytest.fixture(scope="module")
def bench(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(server_url, tmp_path_factory.mktemp("group"))


def stored(sessions: Sessions) -> tuple[Any, ...]:
    """All that a collection found, comparable between databases."""
    with sessions() as session:
        collection = session.scalars(select(Collection)).one()
        columns = [c for c in CollectedNeuron.__table__.columns if c.name not in ("neuron_id", "collection_id")]
        collected = [tuple(map(str, row)) for row in session.execute(select(*columns).order_by("neuron_id"))]
    assert collection.status == "complete", collection.error
    return collection.tokens_done, rows(sessions, collection.id), statistics(sessions), collected


@pytest.fixture(scope="module")
def alone(bench: Bench) -> Iterator[tuple[Any, ...]]:
    """What one process stores."""
    with cloned_database(bench.server_url) as database:
        done = bench.collect(database, "alone", n=1)
        assert done.returncode == 0, done.stderr
        engine = make_engine(database)
        yield stored(make_sessions(engine))
        engine.dispose()


def test_two_processes_store_what_one_stores_to_the_last_bit(
    bench: Bench, alone: tuple[Any, ...], fresh_database: str, fresh_sessions: Sessions
) -> None:
    done = bench.collect(fresh_database, "two", n=2)
    assert done.returncode == 0, done.stderr
    assert stored(fresh_sessions) == alone
    assert [path.name for path in (bench.folder / "two" / "collections").iterdir()] == ["cuts"]


KILL_THE_SECOND = f"""
import os, signal
from worker.collection import passes
save = passes.save_state
def save_and_die(*arguments):
    save(*arguments)
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), {signal.SIGKILL})
passes.save_state = save_and_die
"""


def test_a_process_that_dies_ends_the_others_and_the_next_start_goes_on(
    bench: Bench, alone: tuple[Any, ...], fresh_database: str, fresh_sessions: Sessions
) -> None:
    died = bench.collect(fresh_database, "killed", n=2, code=KILL_THE_SECOND)
    assert died.returncode != 0
    with fresh_sessions() as session:
        assert session.scalars(select(Collection.status)).one() != "complete"
    (folder,) = (p for p in (bench.folder / "killed" / "collections").iterdir() if p.is_dir())
    assert (folder / "state-1-of-2.bin").exists()
    done = bench.collect(fresh_database, "killed", n=2)
    assert done.returncode == 0, done.stderr
    assert stored(fresh_sessions) == alone


def test_what_is_collected_already_is_collected_again_as_another_one(
    bench: Bench, alone: tuple[Any, ...], fresh_database: str, fresh_sessions: Sessions
) -> None:
    for _ in range(2):
        assert bench.collect(fresh_database, "twice", n=2).returncode == 0
    with fresh_sessions() as session:
        assert session.scalars(select(Collection.status)).all() == ["complete", "complete"]


def test_a_process_of_several_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Group(rank=5, size=8, local_rank=1)
    assert (second.part, ALONE.part) == (Part(5, 8), Part(0, 1))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [second.device("auto"), second.device("cpu")] == ["auto", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [second.device(d) for d in ("auto", "cuda", "cuda:3", "cpu")] == ["cuda:1", "cuda:1", "cuda:3", "cpu"]
    assert ALONE.device("auto") == "auto"
