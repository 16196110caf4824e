"""An embedded server that a test may stop and freeze: no other test uses it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from sqlalchemy import text

from app.db import make_engine
from app.embedded import EmbeddedServer
from app.schema import migrate


@contextmanager
def own_server(folder: Path) -> Iterator[EmbeddedServer]:
    """A server in a folder, migrated, which ends with the block."""
    own = EmbeddedServer(folder / "postgres")
    engine = make_engine(own.url)
    migrate(engine)
    engine.dispose()
    yield own
    own.let_go()


def processes_of(server: EmbeddedServer) -> list[psutil.Process]:
    """The server's own process, and those of its connections."""
    engine = make_engine(server.url)
    with engine.connect() as connection:
        folder = Path(str(connection.scalar(text("SHOW data_directory"))))
    engine.dispose()
    main = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
    return [main, *main.children()]


@contextmanager
def frozen(processes: list[psutil.Process]) -> Iterator[None]:
    """Processes that keep all they have and do nothing. One of a connection that has just ended may be gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@contextmanager
def all_frozen(main: psutil.Process) -> Iterator[None]:
    """A server with all of its connections, by its own process."""
    with frozen([main, *main.children()]):
        yield
