"""The handler of inspections, which examine a model and a text before a collection is queued."""

from app.domain.inspections import SubjectRequest
from app.settings import Settings
from app.work.lease import TaskLease
from worker.collection.inspection import inspect
from worker.corpora.corpus import open_corpus
from worker.run.confinement import check_inputs
from worker.run.held import Done, HeldWork

N_STAGES = 3


class InspectionHandler:
    """Reads configuration, tokenizer and some of the text. Loads no weights."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Inspect. Raises Invalid, CheckpointError, SubjectError, CorpusError, CollectionError for the page to show."""
        request = SubjectRequest(**held.lease.parameters["request"])
        held.doing = f"an inspection for {request.slug}"
        check_inputs(request.model, request.corpus, self._settings)
        stages = iter(range(N_STAGES))
        source = open_corpus(request.corpus, text_field=request.text_field)
        found = inspect(
            request, source, self._settings.device, lambda stage: held.report(stage, next(stages) / N_STAGES)
        )
        return Done(result=found.as_json())
