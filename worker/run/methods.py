"""From a method's definition to work on a neuron, with the language model and the subject that it needs."""

from collections.abc import Callable

from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult
from worker.method.contracts import NeuronTask, Services
from worker.method.pipeline import Report, run_method
from worker.method.registry import build_method, steps_of
from worker.run.runs import Work, build_work
from worker.run.services import WorkerServices


class Progress:
    """Reports, and repeats the last report at each call to a language model: the work is alive."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = ("explain", 0.0)

    def __call__(self, stage: str, share: float) -> None:
        self._last = (stage, share)
        self._report(stage, share)

    def still(self) -> None:
        """Report that the work is alive at unchanged progress. Raises what reporting raises."""
        self._report(*self._last)


class MethodBuilder:
    """Turns a method's definition into work. Safe to use from several threads."""

    def __init__(self, services: WorkerServices) -> None:
        self._services = services

    def __call__(self, definition: MethodDefinition) -> Work:
        """Work that needs nothing of the process is built once; other work anew for each run, to be recorded under it.

        Raises MethodError for steps that do not exist.
        """
        if definition.provider is None and not steps_of(definition).needs_subject:
            return build_work(definition)

        def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
            progress = Progress(report)
            method = build_method(definition, self.services(definition, task, progress.still))
            return run_method(method, task, progress)

        return work

    def services(self, definition: MethodDefinition, task: NeuronTask, tick: Callable[[], None]) -> Services:
        """What the method's steps need for this run. Raises NotFound, ProviderError, SubjectError."""
        held = self._services
        provider = held.providers.for_run(definition.provider, task.run_id, tick) if definition.provider else None
        subject = held.live_subject(task.subject) if steps_of(definition).needs_subject else None
        return Services(provider=provider, subject=subject)
