"""A database for the time of a benchmark."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.db import make_engine
from app.embedded import EmbeddedServer
from app.schema import migrate


@contextmanager
def empty_database() -> Iterator[str]:
    """URL of an embedded database with the newest schema and no data; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="neuron-audit-") as folder:
        server = EmbeddedServer(Path(folder) / "postgres")
        try:
            engine = make_engine(server.url)
            migrate(engine)
            engine.dispose()
            yield server.url
        finally:
            server.let_go()  # before its folder goes
