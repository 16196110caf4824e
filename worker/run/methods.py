"""Builds a method from its definition, with the language model and the subject that it needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult
from worker.method.contracts import NeuronTask, Services
from worker.method.live import LiveSubject
from worker.method.pipeline import Report, run_method
from worker.method.registry import build_method, steps_of
from worker.providers.base import Provider
from worker.run.runs import Work, build_work
from worker.run.services import WorkerServices


class Progress:
    """Reports progress, and repeats the last report at each call to a language model as a sign of life."""

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
    """Builds the work of a method from its definition. Safe to use from several threads."""

    def __init__(self, services: WorkerServices) -> None:
        self._services = services

    def __call__(self, definition: MethodDefinition) -> Work:
        """Build the work, cached if it needs no resources of the process.

        Other work is built for each run, under which its calls are recorded. Raises MethodError for steps that do not
        exist.
        """
        if definition.provider is None and not steps_of(definition).needs_subject:
            return build_work(definition)

        def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
            progress = Progress(report)
            with self._subject(definition, task, progress.still) as subject:
                provider = self._provider(definition, task, progress.still)
                method = build_method(definition, Services(provider=provider, subject=subject))
                return run_method(method, task, progress)

        return work

    def _provider(self, definition: MethodDefinition, task: NeuronTask, tick: Callable[[], None]) -> Provider | None:
        """The language model, recording calls for this run. Raises NotFound, ProviderError."""
        if definition.provider is None:
            return None
        return self._services.providers.for_run(definition.provider, task.run_id, tick)

    def _subject(
        self, definition: MethodDefinition, task: NeuronTask, tick: Callable[[], None]
    ) -> AbstractContextManager[LiveSubject | None]:
        """The subject itself, held until the run is done, if a step runs it. Raises NotFound, SubjectError."""
        if not steps_of(definition).needs_subject:
            return nullcontext()
        return self._services.subjects.for_run(task.subject, tick=tick)
