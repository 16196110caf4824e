"""Load a stored subject for steps that run it: the same weights, at the same site, in the same dtype."""

from dataclasses import replace

from app.errors import SubjectError
from app.queries.subjects.lookup import StoredSubject
from worker.subjects.live import LiveModel
from worker.subjects.load import LoadOptions, load_subject


def load_live(stored: StoredSubject, *, device: str) -> LiveModel:
    """The subject, ready to run texts. Raises CheckpointError, SubjectError, also where it has changed since."""
    options = LoadOptions(device, stored.dtype, stored.bos_policy, stored.revision, site=stored.site)
    options = replace(options, permutation_seed=stored.permutation_seed)
    loaded = load_subject(stored.source, options)
    if stored.weights_digest is not None and loaded.info.weights_digest != stored.weights_digest:
        raise SubjectError(f"The weights at {stored.source} are not the ones that {stored.slug} was collected with.")
    return LiveModel(loaded, slug=stored.slug, context_length=stored.context_length)
