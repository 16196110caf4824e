"""The handler of collections: a subject's pass over a corpus, which a person can watch, cancel and resume."""

from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from app.work.collections import enqueue_collection
from app.work.lease import TaskLease
from worker.collection.command import CollectArguments, open_subject
from worker.collection.reporting import Progress, StoredProgress
from worker.collection.run import collect
from worker.corpora.corpus import open_corpus
from worker.run.confinement import check_inputs
from worker.run.held import Done, HeldWork
from worker.run.services import WorkerServices


class CollectionHandler:
    """Collects on a machine where model and corpus can be read: paths are those of the machine that queued the task."""

    def __init__(self, services: WorkerServices) -> None:
        self._sessions, self._settings = services.sessions, services.settings

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Collect, or resume an earlier attempt. Raises CorpusError, SubjectError, CollectionError, Conflict.

        A collection stores its results in a transaction of its own. A cancelled task leaves it unfinished: queued
        again, or started by the command, it resumes from its last saved state.
        """
        parameters: dict[str, Any] = dict(held.lease.parameters)
        if parameters.get("is_confined"):
            check_inputs(parameters["model"], parameters["corpus"], self._settings)
        arguments = CollectArguments(**parameters["arguments"])
        options = arguments.options(parameters["model"])
        held.doing = f"a collection of {options.slug}"
        held.report("loading the model", 0.0)
        source = open_corpus(parameters["corpus"], text_field=arguments.text_field)
        subject = open_subject(self._settings, parameters["model"], arguments)
        with StoredProgress(self._sessions, self._settings, options.part) as store:

            def tell(progress: Progress) -> None:
                store(progress)
                held.report(progress.stage.label, min(1.0, progress.done / progress.total) if progress.total else 0.0)

            folder = self._settings.data_dir / "collections"
            outcome = collect(self._sessions, subject, source, folder, options, tell)
        result = {"tokens": outcome.tokens, "is_complete": outcome.complete, "notes": list(outcome.notes)}
        has_twin = outcome.complete and parameters.get("then_null_twin")
        return Done(result, partial(_enqueue_null_twin, lease=held.lease) if has_twin else None)


def _enqueue_null_twin(session: Session, *, lease: TaskLease) -> None:
    """Queue the null twin of the stored subject, for the same person."""
    arguments = {**lease.parameters["arguments"], "null_twin": True}
    enqueue_collection(
        session,
        slug=CollectArguments(**arguments).options(lease.parameters["model"]).slug,
        parameters={**lease.parameters, "arguments": arguments, "then_null_twin": False},
        account_id=lease.account_id,
    )
