"""Load a stored subject: the same weights, read at the same site, in the same dtype."""

from dataclasses import replace

from app.domain.sites import SiteKind
from app.errors import SubjectError
from app.queries.subjects.lookup import StoredSubject
from worker.checkpoints import checkpoint_folder, empty_model, model_bytes
from worker.devices import first_device
from worker.subjects.load import DTYPES, LoadOptions, load_subject, resolve_dtype
from worker.subjects.loaded import LoadedSubject


def load_stored(stored: StoredSubject, *, device: str) -> LoadedSubject:
    """The subject as it was collected. Raises CheckpointError, SubjectError, also where it has changed since."""
    _check_has_model(stored)
    options = LoadOptions(device, stored.dtype, stored.bos_policy, stored.revision, site=stored.site)
    options = replace(options, permutation_seed=stored.permutation_seed)
    loaded = load_subject(stored.source, options)
    if stored.weights_digest is not None and loaded.info.weights_digest != stored.weights_digest:
        raise SubjectError(f"The weights at {stored.source} are not the ones that {stored.slug} was collected with.")
    return loaded


def stored_bytes(stored: StoredSubject, *, device: str) -> int:
    """Bytes of the parameters and buffers that ``load_stored`` would load, from the configuration alone.

    Raises CheckpointError, SubjectError.
    """
    _check_has_model(stored)
    folder, _ = checkpoint_folder(stored.source, stored.revision, with_weights=False)
    dtype = resolve_dtype(stored.dtype, str(first_device(device)))
    return model_bytes(empty_model(folder, dtype=DTYPES[dtype]))


def _check_has_model(stored: StoredSubject) -> None:
    if stored.site.kind is SiteKind.IMPORTED:
        raise SubjectError(
            f"{stored.slug} was imported: its model is not known here, so that it cannot be run. What needs only its"
            " records works."
        )
