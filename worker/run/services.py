"""What a worker process holds for methods: language models, the subject itself. Loaded when first needed."""

import threading
from collections.abc import Callable

from app.db import Sessions, transaction
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult
from app.queries.subjects.lookup import stored_subject
from app.settings import Settings
from worker.method.contracts import NeuronTask, Services
from worker.method.live import LiveSubject
from worker.method.pipeline import Report, run_method
from worker.method.registry import build_method, steps_of
from worker.run.opening import Providers
from worker.run.tasks import Work, build_work


class Progress:
    """Reports, and repeats the last report at each call to a language model: the work is alive."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = ("explain", 0.0)

    def __call__(self, stage: str, share: float) -> None:
        self._last = (stage, share)
        self._report(stage, share)

    def still(self) -> None:
        """The work stands where it stood, and moves on. Raises what reporting raises."""
        self._report(*self._last)


class MethodBuilder:
    """Turns a method's definition into work. Safe to use from several threads."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._settings = sessions, settings
        self._providers = Providers(sessions, settings)
        self._subject: tuple[str, LiveSubject] | None = None
        self._lock = threading.Lock()

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
        provider = self._providers.for_run(definition.provider, task.run_id, tick) if definition.provider else None
        subject = self.live_subject(task.subject) if steps_of(definition).needs_subject else None
        return Services(provider=provider, subject=subject)

    def live_subject(self, slug: str) -> LiveSubject:
        """The loaded subject; the one before is let go. Raises SubjectError."""
        with self._lock:
            if self._subject is None or self._subject[0] != slug:
                self._subject = None
                self._subject = (slug, self._load(slug))
            return self._subject[1]

    def _load(self, slug: str) -> LiveSubject:
        from worker.run.subjects import load_live  # torch is not needed for other methods

        with transaction(self._sessions) as session:
            stored = stored_subject(session, slug=slug)
        return load_live(stored, device=self._settings.device)

    def close(self) -> None:
        """End what holds threads or connections."""
        self._providers.close()
