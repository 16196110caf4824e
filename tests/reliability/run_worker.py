"""A real worker process with handlers made for these tests: ``python -m tests.reliability.run_worker``.

A method's or a task's ``parameters`` say what its work does: the ``seconds`` it takes, whether it is ``silent``, the
index of the ``killer`` among the neurons, or that a task ``kills``.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.events import EventKind
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.work import RUN, Lane, TaskKind
from app.log import configure_logging
from app.parent import stop_with_parent
from app.queries.history.events import record_event
from app.settings import Settings
from app.work.lease import TaskLease
from worker.method.contracts import NeuronTask
from worker.method.pipeline import Report
from worker.run.held import Done, Handlers, HeldWork
from worker.run.main import main
from worker.run.runs import RunHandler, Work

STEPS = 4
PRETEND = TaskKind("pretend", "A task of these tests", Lane.BACKGROUND)
STORED = EventKind.CHECK_COMPLETED
"""The event that each task stores as its result."""


def build(definition: MethodDefinition) -> Work:
    """Work that takes its time, and kills its worker at one neuron."""
    structlog.get_logger().info("model.loaded")

    def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        pretend(definition.parameters, report, kills=task.index == definition.parameters.get("killer"))
        return (
            ExplanationResult(
                text=f"neuron {task.index}",
                scores=(ScoreResult("correlation", "top_and_random", 0.5, n_valid=1, n_failed=0),),
            ),
        )

    return work


def handle(held: HeldWork[TaskLease]) -> Done:
    """A task that takes its time, or kills its worker."""
    parameters = held.lease.parameters
    pretend(parameters, held.report, kills=parameters.get("kills", False))
    return Done(result={"task": held.lease.id}, store=partial(store, task_id=held.lease.id))


def store(session: Session, *, task_id: int) -> None:
    """The rows of a task's result."""
    record_event(session, kind=STORED, detail={"task_id": task_id})


def pretend(parameters: Mapping[str, Any], report: Report, *, kills: bool) -> None:
    """Take some time and report, or kill this process."""
    if kills:
        os.kill(os.getpid(), signal.SIGKILL)
    for step in range(STEPS):
        time.sleep(float(parameters.get("seconds", 0)) / STEPS)
        if not parameters.get("silent"):
            report("pretend", (step + 1) / STEPS)


def make_handlers(_settings: Settings, sessions: Sessions) -> Handlers:
    """Runs, and one kind of task."""
    return {RUN: RunHandler(sessions, build), PRETEND.name: handle}


if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings)
    stop_with_parent()
    sys.exit(main(settings, make_handlers=make_handlers))
