"""Resources of a worker process for its handlers: language models, the subject itself. Loaded when first needed."""

from collections.abc import Sequence

from app.db import Sessions, transaction
from app.queries.checks.store import collection_to_check
from app.queries.subjects.lookup import stored_subject
from app.settings import Settings
from worker.run.embedders import Embedders
from worker.run.kept_corpus import kept_excerpts
from worker.run.opening import Providers
from worker.run.subjects import SizedSubject, Subjects, load_live

PROCESSOR = "cpu"
SHARE_OF_MEMORY = 0.5
"""Share of a device's memory that subjects may take: passes, language models and other programs need the rest."""


class WorkerServices:
    """Settings, sessions, language models and subjects of one worker process. Safe to use from several threads."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self.settings, self.sessions = settings, sessions
        self.providers = Providers(sessions, settings)
        self.embedders = Embedders(sessions, settings, self.providers)
        self.subjects = Subjects(self.live_subject, measure=self._subject_bytes, budget=self._subject_budget)

    def live_subject(self, slug: str) -> SizedSubject:
        """A newly loaded subject, cached by ``subjects``. Raises NotFound, CheckpointError, SubjectError."""
        with transaction(self.sessions) as session:
            stored, collection = stored_subject(session, slug=slug), collection_to_check(session, slug=slug)
        corpus = kept_excerpts(collection, self.settings.data_dir / "collections")
        return load_live(stored, device=self.settings.device, corpus=corpus)

    def _subject_bytes(self, slug: str) -> int:
        from worker.collection.stored_subject import stored_bytes  # imported late: torch is needed only here

        with transaction(self.sessions) as session:
            stored = stored_subject(session, slug=slug)
        return stored_bytes(stored, device=self.settings.device)

    def _subject_budget(self) -> int:
        """Bytes that all loaded subjects may take together."""
        from worker.devices import device_memory, first_device  # imported late: torch is needed only here

        if self.settings.subject_megabytes is not None:
            return self.settings.subject_megabytes * 10**6
        return int(SHARE_OF_MEMORY * device_memory(first_device(self.settings.device)))

    @property
    def device(self) -> str:
        """The device of the models in memory; the processor while none is loaded, since all other work runs there.

        Takes no lock, since it is called while a model is being loaded.
        """
        return _device_names([*self.providers.opened, *self.subjects.loaded, *self.embedders.loaded]) or PROCESSOR

    def close(self) -> None:
        """Close threads and connections."""
        self.providers.close()


def _device_names(loaded: Sequence[object]) -> str:
    """The devices that have models, each once; empty if none has."""
    if not loaded:
        return ""
    from worker.devices import OnDevice, device_name  # torch is not needed before

    devices = dict.fromkeys(model.device for model in loaded if isinstance(model, OnDevice))
    return " and ".join(device_name(device) for device in devices)
