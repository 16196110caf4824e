"""The handlers of imports and exports, which a person can watch and cancel."""

from dataclasses import asdict

from app.db import Sessions
from app.settings import Settings
from app.transfer.exporting import ENDINGS, ExportProgress, run_export
from app.transfer.folders import exports_folder
from app.transfer.importing import ImportProgress, run_import
from app.transfer.tasks import export_of, import_of
from app.work.lease import TaskLease
from worker.run.held import Done, HeldWork


class ImportHandler:
    """Imports on a machine where the source can be read: paths are those of the machine that queued the task."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Import, or resume where an earlier attempt stopped. Raises Invalid, Conflict, Unavailable.

        An import stores its chunks in transactions of its own. A cancelled task leaves it unfinished: queued again, or
        started by the command, it resumes from its last chunk.
        """
        location, request = import_of(held.lease.parameters)
        held.doing = f"an import into {request.slug}"
        held.report("reading", 0.0)

        def tell(progress: ImportProgress) -> None:
            held.report("reading", progress.share)

        outcome = run_import(self._sessions, location.opened(), request, tell=tell, account_id=held.lease.account_id)
        return Done(result={"import_id": outcome.import_id, "problems": outcome.n_problems, **asdict(outcome.counts)})


class ExportHandler:
    """Exports to a file in the data folder, which pages offer for download."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._folder = sessions, exports_folder(settings)

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Write the task's file from the beginning. Raises NotFound, Invalid."""
        request = export_of(held.lease.parameters)
        held.doing = f"an export of {request.slug}"
        held.report("writing", 0.0)
        name = f"{request.slug}-{held.lease.id}{ENDINGS[request.format]}"

        def tell(progress: ExportProgress) -> None:
            held.report("writing", progress.share)

        n_neurons = run_export(self._sessions, request, self._folder / name, tell=tell)
        return Done(result={"file": name, "neurons": n_neurons, "bytes": (self._folder / name).stat().st_size})
