"""The handler of checks: explanations executed on every token of a corpus."""

from functools import partial

from app.db import Sessions, transaction
from app.queries.subjects.lookup import StoredSubject, stored_subject
from app.work.lease import TaskLease
from worker.checks.run import CheckOptions, check
from worker.collection.reporting import Progress
from worker.collection.stored_subject import load_stored
from worker.run.held import Done, HeldWork
from worker.run.services import WorkerServices


class CheckHandler:
    """Runs a check on the machine that collected the corpus, whose data folder has the cut corpus."""

    def __init__(self, services: WorkerServices) -> None:
        self._sessions, self._settings = services.sessions, services.settings

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Execute the explanations that have not been checked. Raises NotFound, SubjectError, CollectionError.

        A check stores its results in a transaction of its own. It may be repeated: checked explanations are never
        checked again, and an unfinished check resumes from its last saved state.
        """
        slug = held.lease.parameters["slug"]
        held.doing = f"a check of {slug}"
        stored = held.through_outages(partial(_stored, self._sessions, slug))
        held.report("loading the model", 0.0)
        loaded = load_stored(stored, device=self._settings.device)

        def report(progress: Progress) -> None:
            held.report(progress.stage.label, progress.done / progress.total if progress.total else 0.0)

        folder = self._settings.data_dir / "collections"
        outcome = check(self._sessions, loaded, folder, CheckOptions(slug), report)
        return Done(result={"n_checked": outcome.n_checked, "n_unreadable": outcome.n_unreadable})


def _stored(sessions: Sessions, slug: str) -> StoredSubject:
    with transaction(sessions) as session:
        return stored_subject(session, slug=slug)
