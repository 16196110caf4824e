"""Load a stored subject: the same weights, read at the same site, in the same dtype."""

from dataclasses import replace

from app.domain.sites import SiteKind
from app.errors import SubjectError
from app.queries.subjects.lookup import StoredSubject
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject


def load_stored(stored: StoredSubject, *, device: str) -> LoadedSubject:
    """The subject as it was collected. Raises CheckpointError, SubjectError, also where it has changed since."""
    if stored.site.kind is SiteKind.IMPORTED:
        raise SubjectError(
            f"{stored.slug} was imported: its model is not known here, so that it cannot be run. What needs only its"
            " records works."
        )
    options = LoadOptions(device, stored.dtype, stored.bos_policy, stored.revision, site=stored.site)
    options = replace(options, permutation_seed=stored.permutation_seed)
    loaded = load_subject(stored.source, options)
    if stored.weights_digest is not None and loaded.info.weights_digest != stored.weights_digest:
        raise SubjectError(f"The weights at {stored.source} are not the ones that {stored.slug} was collected with.")
    return loaded
