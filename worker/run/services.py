"""What a worker process holds for its handlers: language models, the subject itself. Loaded when first needed."""

from collections.abc import Sequence

from app.db import Sessions, transaction
from app.queries.checks.store import collection_to_check
from app.queries.subjects.lookup import stored_subject
from app.settings import Settings
from worker.method.live import LiveSubject
from worker.run.kept_corpus import kept_excerpts
from worker.run.opening import Providers
from worker.run.subjects import Subjects, load_live

PROCESSOR = "cpu"


class WorkerServices:
    """Settings, sessions, language models and subjects of one worker process. Safe to use from several threads."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self.settings, self.sessions = settings, sessions
        self.providers = Providers(sessions, settings)
        self.subjects = Subjects(self.live_subject, most=settings.loaded_subjects)

    def live_subject(self, slug: str) -> LiveSubject:
        """A subject, loaded anew: ``subjects`` keeps it. Raises NotFound, CheckpointError, SubjectError."""
        with transaction(self.sessions) as session:
            stored, collection = stored_subject(session, slug=slug), collection_to_check(session, slug=slug)
        corpus = kept_excerpts(collection, self.settings.data_dir / "collections")
        return load_live(stored, device=self.settings.device, corpus=corpus)

    @property
    def device(self) -> str:
        """Where its models are now: the processor while none is loaded, since all else runs there.

        Takes no lock: it is called while a model is being loaded.
        """
        return _device_names([*self.providers.opened, *self.subjects.loaded]) or PROCESSOR

    def close(self) -> None:
        """End what holds threads or connections."""
        self.providers.close()


def _device_names(loaded: Sequence[object]) -> str:
    """The devices that hold models, each once; empty where none does."""
    if not loaded:
        return ""
    from worker.devices import OnDevice, device_name  # torch is not needed before

    devices = dict.fromkeys(model.device for model in loaded if isinstance(model, OnDevice))
    return " and ".join(device_name(device) for device in devices)
