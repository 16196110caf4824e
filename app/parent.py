"""Ends a process together with the one that started it, however that one ended."""

import os
import signal
import threading
import time

LOOK_SECONDS = 0.5


def stop_with_parent() -> None:
    """Send this process SIGTERM once its parent has gone. Works on every POSIX system."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="stop-with-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
