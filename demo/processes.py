"""Child processes of the demo: started together, started again when they die, stopped together."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

STOP_SECONDS = 40.0
QUICK_DEATH_SECONDS = 5.0
QUICK_DEATHS_ALLOWED = 3


class ChildFailed(Exception):
    """A process of the demo keeps ending with an error."""


class Child:
    """One ``neuron-audit`` process with its log file, in its own session: the demo itself passes Ctrl-C on."""

    def __init__(self, name: str, arguments: Sequence[str], log_folder: Path, *, ends: bool = False) -> None:
        self.name = name
        self._ends = ends
        self.log = log_folder / f"{name}.log"
        self._command = [sys.executable, "-m", "app.cli", *arguments]
        self._quick_deaths = 0
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command of this program, without a shell
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def keep_alive(self) -> bool:
        """Start it again if it has died; returns whether it had. Raises ChildFailed if it keeps dying.

        A process that has ended after its work is not started again.
        """
        if self.exit_code is None or (self._ends and self.exit_code == 0):
            return False
        quick = time.monotonic() - self._started < QUICK_DEATH_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        if self._quick_deaths >= QUICK_DEATHS_ALLOWED:
            raise ChildFailed(f"{self.name} keeps stopping. The end of {self.log}:\n{self.last_lines()}")
        self._start()
        return True

    def last_lines(self, count: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        """Wait for its end until ``deadline`` (monotonic seconds), then kill it."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Children:
    """All processes of the demo."""

    def __init__(self, log_folder: Path) -> None:
        log_folder.mkdir(parents=True, exist_ok=True)
        self._log_folder = log_folder
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str, ends: bool = False) -> Child:
        """Start ``neuron-audit ARGUMENTS``; with ``ends`` it ends when its work is done, else it runs until stopped."""
        child = Child(name, arguments, self._log_folder, ends=ends)
        self._children.append(child)
        return child

    def forget(self, child: Child) -> None:
        """Stop watching a process that has done its work."""
        self._children.remove(child)

    def keep_alive(self) -> list[str]:
        """Restart the processes that have died. Returns their names."""
        return [child.name for child in self._children if child.keep_alive()]

    def stop(self) -> None:
        """Stop all at once, each within its time limit."""
        for child in self._children:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children:
            child.wait(deadline)


@contextmanager
def children(log_folder: Path) -> Iterator[Children]:
    """Processes that are stopped when the block ends, in whatever way. SIGTERM has the same effect as Ctrl-C."""
    with ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        group = Children(log_folder)
        stack.callback(group.stop)
        yield group
