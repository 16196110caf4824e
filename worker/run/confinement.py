"""Restricts models and texts named on a page to the folders that pages may read.

A command's user can read these files anyway; a user of the web may not have access to them.
"""

from pathlib import Path

from app.domain.inspections import DATA_SET, HUB_MODEL, NAMED_CORPORA, is_path
from app.errors import Invalid
from app.settings import Settings
from app.transfer.folders import confined, subject_folders, uploads_folder


def check_inputs(model: str, corpus: str, settings: Settings) -> None:
    """Raises Invalid for a path that leads outside the folders of the settings, also by links, or a malformed name."""
    if is_path(model):
        confined(model, subject_folders(settings))
    elif HUB_MODEL.fullmatch(model) is None or Path(model).exists():
        raise Invalid(f"{model!r} is neither an absolute path nor the name of a model on the hub.")
    if is_path(corpus):
        confined(corpus, (*subject_folders(settings), uploads_folder(settings)))
    elif corpus not in NAMED_CORPORA and DATA_SET.fullmatch(corpus) is None:
        raise Invalid(f"{corpus!r} is neither an absolute path nor the name of a data set, datasets:NAME.")
