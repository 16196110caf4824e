"""Collect in processes that are killed just before something that the next process could notice.

``python -m tests.reliability.kill_collections MODEL DATABASE FOLDER`` reads lines ``KIND NUMBER``: what to be killed
before, and how often it has happened then. It answers each with a line of JSON: the exit code, and all that happened.
The model is loaded once; each line forks a process.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import event

from app.db import make_engine, make_sessions
from tests.worker.collecting import corpus_of, some_text
from worker.collection.run import CollectOptions, collect
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

OPTIONS = CollectOptions(slug="tiny", context_length=8, shard_excerpts=16)
CORPUS = corpus_of("letters", some_text(120))
CALLS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir")
EVENTS = {"commit": "commit", "checkin": "committed"}
"""Of SQLAlchemy: before a commit is sent, and after it (the connection goes back)."""


class Killer:
    """Counts what can be noticed from outside, and kills its process before the so manieth of a kind."""

    def __init__(self, kind: str, number: int, log: Path) -> None:
        self._kind, self._number, self._log = kind, number, log
        self._counts: Counter[str] = Counter()

    def notice(self, kind: str) -> None:
        """Something is about to happen."""
        self._counts[kind] += 1
        self._log.write_text(json.dumps(self._counts))
        if (kind, self._counts[kind]) == (self._kind, self._number):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, name: str) -> None:
        """Notice each call of a function of ``os``."""
        function: Callable[..., Any] = getattr(os, name)

        def noticed(*arguments: Any, **named: Any) -> Any:
            self.notice(name)
            return function(*arguments, **named)

        setattr(os, name, noticed)


def collect_until(killer: Killer, subject: LoadedSubject, database: str, folder: Path) -> None:
    """A collection in this process, which the killer may end."""
    engine = make_engine(database)
    for name, kind in EVENTS.items():
        event.listen(engine, name, lambda *_, kind=kind: killer.notice(kind))
    for name in CALLS:
        killer.watch(name)
    collect(make_sessions(engine), subject, CORPUS, folder, OPTIONS)


def main(model: str, database: str, folder: str) -> None:
    """Answer the lines of standard input."""
    # Only a process with one thread can be forked.
    torch.set_num_threads(1)
    subject = load_subject(model, LoadOptions(device="cpu", dtype="float32"))
    log = Path(folder) / "noticed"
    for line in sys.stdin:
        kind, number = line.split()
        log.write_text("{}")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                collect_until(Killer(kind, int(number), log), subject, database, Path(folder) / "unfinished")
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "noticed": json.loads(log.read_text() or "{}")}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
