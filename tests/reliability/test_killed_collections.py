"""A collection that is killed at any point: pages tell the truth, and the same command goes on to the same result."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from app.db import Sessions, make_engine, make_sessions, transaction
from app.models import Collection, Neuron, Subject
from app.queries.subjects.unfinished import unfinished_collections
from tests.reliability.kill_collections import CALLS, EVENTS
from tests.worker.models import save_model

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

    def forget(self) -> None:
        """Empty the database, but for the excerpts: their ids are part of the content."""
        with transaction(self.sessions) as session:
            session.execute(text("UPDATE subject SET collection_id = NULL"))
            session.execute(text("DELETE FROM sample"))
            session.execute(text("DELETE FROM neuron"))
            session.execute(text("DELETE FROM collection"))

    def expire(self) -> None:
        """Let the time of a lease pass."""
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
        unfinished = unfinished_collections(session)
    assert shown == complete
    assert n_neurons == (0 if complete is None else 2 * 64)
    assert [(c.status, c.is_alive) for c in unfinished] in ([], [("running", False)])
    assert len(unfinished) == len([status for _, status in killed.collections() if status != "complete"])


def goes_on(killed: Killed, expected: str) -> None:
    """The same command ends with one complete collection, of the same content, and leaves nothing behind."""
    assert killed.collect()["code"] == 0
    ((collection_id, status),) = killed.collections()
    assert (status, killed.content(collection_id)) == ("complete", expected)
    assert list((killed.folder / "unfinished").iterdir()) == []


@pytest.mark.parametrize("step", [pytest.param(None, id="short"), pytest.param(1, id="full", marks=pytest.mark.soak)])
def test_killed_at_any_point_it_goes_on_to_the_same_result(killed: Killed, step: int | None) -> None:
    """Short: before the first and the last of each kind of thing. Full: before everything."""
    whole = killed.collect()
    assert whole["code"] == 0
    assert set(whole["noticed"]) == {*CALLS, *EVENTS.values()}
    ((first, _),) = killed.collections()
    expected = killed.content(first)
    n_killed = 0
    for kind, count in whole["noticed"].items():
        for number in range(1, count + 1, step or max(1, count - 1)):
            killed.forget()
            if killed.collect(kind, number)["code"] == -9:  # how often a state is saved depends on the time
                n_killed += 1
                shows_the_truth(killed)
                goes_on(killed, expected)
    assert n_killed >= len(whole["noticed"])


def test_killed_again_and_again_it_still_comes_to_its_end(killed: Killed) -> None:
    whole = killed.collect()
    ((first, _),) = killed.collections()
    expected = killed.content(first)
    killed.forget()
    for kind in whole["noticed"]:
        if killed.collect(kind, 1)["code"] == 0:
            break
        shows_the_truth(killed)
    goes_on(killed, expected)
