"""What a worker process holds for its handlers: language models, the subject itself. Loaded when first needed."""

import threading
from collections.abc import Sequence

from app.db import Sessions, transaction
from app.queries.subjects.lookup import stored_subject
from app.settings import Settings
from worker.method.live import LiveSubject
from worker.run.opening import Providers

PROCESSOR = "cpu"


class WorkerServices:
    """Settings, sessions, language models and subjects of one worker process. Safe to use from several threads."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self.settings, self.sessions = settings, sessions
        self.providers = Providers(sessions, settings)
        self._subject: tuple[str, LiveSubject] | None = None
        self._lock = threading.Lock()

    def live_subject(self, slug: str) -> LiveSubject:
        """The loaded subject; the one before is released. Raises SubjectError."""
        with self._lock:
            if self._subject is None or self._subject[0] != slug:
                self._subject = None
                self._subject = (slug, self._load(slug))
            return self._subject[1]

    def _load(self, slug: str) -> LiveSubject:
        from worker.run.subjects import load_live  # torch is not needed for other methods

        with transaction(self.sessions) as session:
            stored = stored_subject(session, slug=slug)
        return load_live(stored, device=self.settings.device)

    @property
    def device(self) -> str:
        """Where its models are now: the processor while none is loaded, since all else runs there.

        Takes no lock: it is called while a model is being loaded.
        """
        loaded = [*self.providers.opened, *([] if self._subject is None else [self._subject[1]])]
        return _device_names(loaded) or PROCESSOR

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
