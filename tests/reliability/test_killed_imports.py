"""An import that is killed at any moment: the same command then stores what is missing, and nothing twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from app.db import make_engine, make_sessions, transaction
from app.models import DataImport, Subject
from tests.openai_files import write_data_set

N_LAYERS, N_NEURONS = 5, 120
_CONTENT = text("""
    SELECT (SELECT count(*) FROM neuron), (SELECT count(*) FROM excerpt), (SELECT count(*) FROM explanation),
        (SELECT count(*) FROM score), (SELECT count(*) FROM simulation),
        (SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
            SELECT concat_ws(',', n.layer, n.index, n.current_text, n.current_score, s.kind, s.activations, s.peaks,
                (SELECT string_agg(e.token_ids::text, ';' ORDER BY place)
                 FROM unnest(s.excerpt_ids) WITH ORDINALITY AS ids (id, place) JOIN excerpt e ON e.id = ids.id)) AS line
            FROM sample s JOIN neuron n ON n.id = s.neuron_id
        ) lines)
""")


class Commands:
    """Processes that import one folder into one database."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.engine: Engine = make_engine(database)

    def start(self) -> "subprocess.Popen[str]":
        environment = {**os.environ, "DATABASE_URL": self.database, "NEURON_AUDIT_DATA_DIR": str(self.folder.parent)}
        command = [sys.executable, "-m", "app.cli", "import", str(self.folder), "--subject", "gpt2"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def n_stored(self) -> int:
        with transaction(make_sessions(self.engine)) as session:
            counts = session.scalars(select(DataImport.counts).order_by(DataImport.id.desc())).first()
        return 0 if counts is None else int(counts.get("neurons", 0))

    def content(self) -> tuple[object, ...]:
        with self.engine.connect() as connection:
            return tuple(connection.execute(_CONTENT).one())


@pytest.fixture
def commands(fresh_database: str, tmp_path: Path) -> Iterator[Commands]:
    found = Commands(fresh_database, write_data_set(tmp_path / "data", layers=N_LAYERS, neurons=N_NEURONS))
    yield found
    found.engine.dispose()


def test_a_killed_import_goes_on_where_it_was(commands: Commands) -> None:
    killed_at: list[int] = []
    while len(killed_at) < 3:
        process = commands.start()
        n_before = commands.n_stored()
        while commands.n_stored() <= n_before and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        killed_at.append(commands.n_stored())
    assert killed_at == sorted(set(killed_at))  # each went on from where the one before was
    process = commands.start()
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "0 problems" in output
    with commands.engine.connect() as connection:
        shape = connection.execute(select(Subject.n_layers, Subject.neurons_per_layer, Subject.collection_id)).one()
        imports = connection.execute(select(DataImport.status)).scalars().all()
    assert (shape.n_layers, shape.neurons_per_layer, list(imports)) == (N_LAYERS, N_NEURONS, ["complete"])
    n = N_LAYERS * N_NEURONS
    assert commands.content()[:5] == (n, 60, n, 4 * n, 2 * n)
    before = commands.content()
    again = commands.start()
    assert "0 new neurons, 0 new activation records, 0 new explanations, 0 new scores" in again.communicate()[0]
    assert commands.content() == before
