"""A real worker process with methods made for these tests: ``python -m tests.reliability.run_worker``.

The method's ``parameters`` say what its work does: ``seconds`` it takes, the ``killer`` neuron's index.
"""

import os
import signal
import sys
import time

import structlog

from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, ScoreResult
from app.log import configure_logging
from app.parent import stop_with_parent
from app.settings import Settings
from worker.method.contracts import NeuronTask
from worker.method.pipeline import Report
from worker.run.main import main
from worker.run.tasks import Work

STEPS = 4


def build(definition: MethodDefinition) -> Work:
    """Work that takes its time, and kills its worker at one neuron."""
    structlog.get_logger().info("model.loaded")
    seconds = float(definition.parameters.get("seconds", 0))
    killer = definition.parameters.get("killer")
    silent = bool(definition.parameters.get("silent"))

    def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        if task.index == killer:
            os.kill(os.getpid(), signal.SIGKILL)
        for step in range(STEPS):
            time.sleep(seconds / STEPS)
            if not silent:
                report("pretend", (step + 1) / STEPS)
        return (
            ExplanationResult(
                text=f"neuron {task.index}",
                scores=(ScoreResult("correlation", "top_and_random", 0.5, n_valid=1, n_failed=0),),
            ),
        )

    return work


if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings)
    stop_with_parent()
    sys.exit(main(settings, build=build))
