"""Slots: the threads of a worker process that run when the engine gives them a turn."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue


class Slots:
    """Daemon threads, one for each function; a turn calls the function of a free one.

    Daemon threads, so that a hanging thread does not keep its process from ending. A thread that raises is not
    restarted.
    """

    def __init__(self, name: str, functions: Sequence[Callable[[], object]]) -> None:
        self._turns: SimpleQueue[_Turn | None] = SimpleQueue()
        self.threads = [
            threading.Thread(target=self._run, args=[function], name=name, daemon=True) for function in functions
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Let each thread end after its pending turns. Later turns never return."""
        for _ in self.threads:
            self._turns.put(None)

    async def turn(self) -> None:
        """Let one free thread call its function; returns when the call has returned."""
        turn = _Turn()
        self._turns.put(turn)
        await turn.ended

    def _run(self, function: Callable[[], object]) -> None:
        while (turn := self._turns.get()) is not None:
            function()
            turn.end()


class _Turn:
    """One turn, for which an event loop waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()

    def end(self) -> None:
        """Notify the event loop, if it still runs. Any thread may call this."""
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self.ended.done():  # the turn was cancelled
            self.ended.set_result(None)
