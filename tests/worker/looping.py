"""A worker's loop for tests that need what a worker does, not how it does it."""

import uuid
from threading import Event as Signal

from app.db import Sessions
from app.domain.work import RUN, Lane
from app.settings import Settings
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.runs import BuildWork, RunHandler


def work_off(sessions: Sessions, build: BuildWork) -> int:
    """Work until no run is queued; returns the number of runs taken. ``build`` makes a method's work."""
    settings = Settings(retry_seconds=0, max_attempts=1, progress_seconds=0)
    handlers = {RUN: RunHandler(sessions, build)}
    loop = WorkLoop(WorkerContext(settings, sessions, handlers, uuid.uuid4(), Signal(), Signal()), Lane.RUNS)
    n_runs = 0
    while loop.run_one():
        n_runs += 1
    return n_runs
