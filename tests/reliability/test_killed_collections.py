"""A collection that is killed at any point: pages show the true state, and the same command then completes it."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from app.db import Sessions, make_engine, make_sessions, transaction
from app.models import Collection, Neuron, Subject
from app.queries.common.prepared import rows_of
from app.queries.subjects.unfinished import UNFINISHED
from tests.reliability.kill_collections import CALLS, EVENTS
from tests.worker.models import save_model
from worker.collection.cuts import FILES

_CONTENT = text("""
    SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
        SELECT concat_ws(',', n.layer, n.index, n.mean, n.max, s.kind, s.activations, s.peaks, s.excerpt_ids) AS line
        FROM sample s JOIN neuron n ON n.id = s.neuron_id WHERE s.collection_id = :collection_id
    ) lines
""")


class Killed:
    """Processes that collect into one database and folder, and what is there after each."""

    def __init__(self, database: str, folder: Path) -> None:
        self._engine = make_engine(database)
        self.sessions: Sessions = make_sessions(self._engine)
        self.folder = folder
        model = save_model(folder / "model")
        command = [sys.executable, "-m", "tests.reliability.kill_collections", str(model), database, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def collect(self, kind: str = "never", number: int = 1) -> dict[str, Any]:
        """Run the command, killed before something happens for the so manieth time: the exit code and what happened."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind} {number}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()
        self._engine.dispose()

    def collections(self) -> list[tuple[int, str]]:
        with self.sessions() as session:
            rows = session.execute(select(Collection.id, Collection.status).order_by(Collection.id)).all()
        return [(row.id, row.status) for row in rows]

    def content(self, collection_id: int) -> str:
        with self.sessions() as session:
            return str(session.execute(_CONTENT, {"collection_id": collection_id}).scalar_one())

    def kept(self) -> dict[str, str]:
        """What is left in the folder of collections: digests of files by their paths."""
        folder = self.folder / "unfinished"
        files = (file for file in folder.rglob("*") if file.is_file())
        return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def forget(self) -> None:
        """Remove kept cuts, and all rows but for the excerpts: their ids are part of the content."""
        shutil.rmtree(self.folder / "unfinished" / "cuts", ignore_errors=True)
        with transaction(self.sessions) as session:
            session.execute(text("UPDATE subject SET collection_id = NULL"))
            session.execute(text("DELETE FROM sample"))
            session.execute(text("DELETE FROM collected_neuron"))
            session.execute(text("DELETE FROM neuron"))
            session.execute(text("DELETE FROM collection"))

    def expire(self) -> None:
        """Make a lease expire."""
        with transaction(self.sessions) as session:
            session.execute(update(Collection).values(lease_until=func.now() - timedelta(seconds=1)))


@pytest.fixture
def killed(fresh_database: str, tmp_path: Path) -> Iterator[Killed]:
    found = Killed(fresh_database, tmp_path)
    yield found
    found.close()


def shows_the_truth(killed: Killed) -> None:
    """What pages ask for: neurons of a complete collection alone; what was killed is not shown as running."""
    killed.expire()
    with killed.sessions() as session:
        shown = session.scalars(select(Subject.collection_id)).first()
        complete = session.scalars(select(Collection.id).where(Collection.status == "complete")).first()
        n_neurons = session.scalars(select(func.count()).select_from(Neuron)).one()
        unfinished = rows_of(session, UNFINISHED.given())
    assert shown == complete
    assert n_neurons == (0 if complete is None else 2 * 64)
    assert [(c.status, c.is_alive) for c in unfinished] in ([], [("running", False)])
    assert len(unfinished) == len([status for _, status in killed.collections() if status != "complete"])


@dataclass(frozen=True, slots=True)
class Expected:
    """What an undisturbed collection leaves: the digest of its rows, and those of the files of its kept cut."""

    content: str
    files: dict[str, str]


def undisturbed(killed: Killed) -> tuple[Expected, dict[str, int]]:
    """The result of a collection that is not killed, and what happens meanwhile."""
    whole = killed.collect()
    assert whole["code"] == 0
    assert set(whole["noticed"]) == {*CALLS, *EVENTS.values()}
    ((collection_id, _),) = killed.collections()
    expected = Expected(killed.content(collection_id), killed.kept())
    assert {Path(file).parts[0] for file in expected.files} == {"cuts"}
    assert {Path(file).name for file in expected.files} == set(FILES)
    return expected, whole["noticed"]


def goes_on(killed: Killed, expected: Expected) -> None:
    """The same command ends with one complete collection, of the same content, and leaves the same files."""
    assert killed.collect()["code"] == 0
    ((collection_id, status),) = killed.collections()
    assert status == "complete"
    assert Expected(killed.content(collection_id), killed.kept()) == expected
    assert [entry.name for entry in (killed.folder / "unfinished").iterdir()] == ["cuts"]


@pytest.mark.parametrize("step", [pytest.param(None, id="short"), pytest.param(1, id="full", marks=pytest.mark.soak)])
def test_killed_at_any_point_it_goes_on_to_the_same_result(killed: Killed, step: int | None) -> None:
    """Short: before the first and the last of each kind of thing. Full: before everything."""
    expected, noticed = undisturbed(killed)
    n_killed = 0
    for kind, count in noticed.items():
        for number in range(1, count + 1, step or max(1, count - 1)):
            killed.forget()
            if killed.collect(kind, number)["code"] == -9:  # how often a state is saved depends on the time
                n_killed += 1
                shows_the_truth(killed)
                goes_on(killed, expected)
    assert n_killed >= len(noticed)


def test_killed_between_any_two_files_of_its_cut_it_keeps_the_whole_cut(killed: Killed) -> None:
    expected, noticed = undisturbed(killed)
    last = noticed["replace"]
    for number in range(last - len(FILES) + 1, last + 1):
        killed.forget()
        assert killed.collect("replace", number)["code"] == -9
        assert {Path(file).name for file in killed.kept() if file.startswith("cuts/")} < set(FILES)
        goes_on(killed, expected)


def test_killed_again_and_again_it_still_comes_to_its_end(killed: Killed) -> None:
    expected, noticed = undisturbed(killed)
    killed.forget()
    for kind in noticed:
        if killed.collect(kind, 1)["code"] == 0:
            break
        shows_the_truth(killed)
    goes_on(killed, expected)
