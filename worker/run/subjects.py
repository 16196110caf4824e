"""Load a stored subject for steps that run it."""

from app.queries.subjects.lookup import StoredSubject
from worker.collection.stored_subject import load_stored
from worker.subjects.live import LiveModel


def load_live(stored: StoredSubject, *, device: str) -> LiveModel:
    """The subject, ready to run texts. Raises CheckpointError, SubjectError, also where it has changed since."""
    return LiveModel(load_stored(stored, device=device), slug=stored.slug, context_length=stored.context_length)
