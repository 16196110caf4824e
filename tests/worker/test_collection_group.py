"""Several processes share a collection under torchrun, over gloo on loopback: the same rows as from one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from sqlalchemy import select

from app.db import Sessions, make_engine, make_sessions
from app.models import CollectedNeuron, Collection
from tests.browser.site import free_port
from tests.conftest import cloned_database
from tests.worker.collecting import some_text
from tests.worker.models import save_model
from tests.worker.test_collection_run import rows, statistics
from worker.collection.group import ALONE, Group, cards_of, cards_seen, have_cards_of_their_own, joined_group

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


OVER_A_SECOND_GROUP = """
import os
import torch
import torch.distributed as dist
from pathlib import Path
from worker.collection import group
new_group = dist.new_group
def asked(backend, timeout):
    Path(os.environ["NEURON_AUDIT_DATA_DIR"], "backend" + os.environ["RANK"]).write_text(backend)
    return new_group(backend="gloo", timeout=timeout)
dist.new_group = asked
dist.is_nccl_available = lambda: True
torch.cuda.set_device = lambda card: None
group.cards_seen = lambda setting: ("card a", "card b")
group.Group.device = lambda self, setting: setting
group.Group.link_device = torch.device("cpu")
"""
"""Two cards, and gloo in NCCL's stead, which is asked for: what is sent, and over which group, is as with cards."""


def test_states_pass_over_the_group_of_the_cards(
    bench: Bench, alone: tuple[Any, ...], fresh_database: str, fresh_sessions: Sessions
) -> None:
    (bench.folder / "cards").mkdir()
    done = bench.collect(fresh_database, "cards", n=2, code=OVER_A_SECOND_GROUP)
    assert done.returncode == 0, done.stderr
    assert stored(fresh_sessions) == alone
    assert [(bench.folder / "cards" / f"backend{rank}").read_text() for rank in range(2)] == ["nccl", "nccl"]


@pytest.mark.parametrize(
    ("seen", "shares", "own"),
    [
        ([(), ()], [(), ()], False),
        ([("a", "b"), ("a", "b")], [(0,), (1,)], True),
        ([tuple("abcdefgh")] * 2, [(0, 1, 2, 3), (4, 5, 6, 7)], True),
        ([tuple("abcd")] * 3, [(0,), (1,), (2,)], True),
        ([("a", "b"), ("a", "b"), ("c", "d"), ("c", "d")], [(0,), (1,), (0,), (1,)], True),  # two machines
        ([("a",), ("b",)], [(0,), (0,)], True),  # a launcher that shows each its own
        ([("a", "b")] * 3, [(0,), (1,), (0,)], False),
        ([("a",), ("a",)], [(0,), (0,)], False),
        ([("a",), ()], [(0,), ()], False),
        ([("a", "b"), ("b", "a")], [(0, 1), (0, 1)], True),
    ],
)
def test_processes_share_the_cards_that_they_see(
    seen: list[tuple[str, ...]], shares: list[tuple[int, ...]], own: bool
) -> None:
    assert cards_of(seen) == shares
    assert have_cards_of_their_own(seen, shares) is own


class Torch:
    """Torch's own border: what the processes of a group ask it for. This one is the second of two."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, cards: str, others: str, has_nccl: bool = True) -> None:
        self.asked: list[Any] = []
        identities = [SimpleNamespace(uuid=card) for card in cards]
        gathered = [tuple(others), tuple(cards)]
        for name, stand_in in {
            "is_torchelastic_launched": lambda: True,
            "is_nccl_available": lambda: has_nccl,
            "init_process_group": lambda backend, timeout: self.asked.append(backend),
            "get_rank": lambda: 1,
            "get_world_size": lambda: 2,
            "all_gather_object": lambda into, mine: into.__setitem__(slice(None), gathered),
            "new_group": self.new_group,
            "destroy_process_group": lambda: self.asked.append("end"),
        }.items():
            monkeypatch.setattr(dist, name, stand_in)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
        monkeypatch.setattr(torch.cuda, "get_device_properties", identities.__getitem__)
        monkeypatch.setattr(torch.cuda, "set_device", self.asked.append)

    def new_group(self, backend: str, timeout: object) -> str:
        self.asked.append(backend)
        return f"a group over {backend}"


def test_nccl_is_asked_for_where_each_process_has_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    border = Torch(monkeypatch, cards="abcd", others="abcd")
    with joined_group("auto") as group:
        assert (group.rank, group.size, group.cards, str(group.nccl)) == (1, 2, (2, 3), "a group over nccl")
        assert (group.device("auto"), group.link_device) == ("cuda:2,cuda:3", torch.device("cuda", 2))
    assert border.asked == ["gloo", 2, "nccl", "end"]


@pytest.mark.parametrize(
    ("cards", "others", "has_nccl", "device"),
    [
        ("", "", True, "auto"),
        ("a", "a", True, "cuda:0"),
        ("ab", "", True, "cuda:0,cuda:1"),
        ("", "ab", True, "auto"),
        ("ab", "ab", False, "cuda:1"),
    ],
)
def test_gloo_alone_is_asked_for_elsewhere(
    monkeypatch: pytest.MonkeyPatch, cards: str, others: str, has_nccl: bool, device: str
) -> None:
    border = Torch(monkeypatch, cards=cards, others=others, has_nccl=has_nccl)
    with joined_group("auto") as group:
        assert (group.nccl, group.device("auto"), group.link_device.type) == (None, device, "cpu")
    assert border.asked == ["gloo", "end"]


def test_a_device_that_is_named_is_used_by_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    Torch(monkeypatch, cards="ab", others="ab")
    assert [cards_seen(setting) for setting in ("auto", "cuda", "cuda:1", "cpu")] == [("a", "b"), ("a", "b"), (), ()]
    assert [ALONE.device("auto"), ALONE.device("cuda:1")] == ["auto", "cuda:1"]
    assert Group(1, 2).device("cuda:1") == "cuda:1"
