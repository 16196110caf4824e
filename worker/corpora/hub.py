"""Data sets of the Hugging Face hub, streamed: nothing is downloaded beyond what is read."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from app.errors import CorpusError
from worker.corpora.documents import CorpusSource, Document, OnSkip, Row, documents_of_rows
from worker.corpora.rows import named_fields, row_of_value

HUB_PREFIX = "datasets:"


def hub_corpus(spec: str, text_field: str) -> CorpusSource:
    """The corpus ``datasets:NAME[:CONFIGURATION][@SPLIT]``.

    Raises CorpusError for the name of a builder, which would read the files of the working directory, and for that of
    a local folder.
    """
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES  # no other corpus needs the library

    name = _parts(spec)[0]
    if name in _PACKAGED_DATASETS_MODULES:
        raise CorpusError(
            f"{name!r} is a format of the datasets library, not a data set. To collect over a file or a folder give "
            f"its path alone, without {HUB_PREFIX!r}."
        )
    if not name:
        raise CorpusError(f"{spec!r} does not name a data set.")
    if Path(name).expanduser().exists():
        raise CorpusError(f"{name!r} is a local folder or file: give its path alone, without {HUB_PREFIX!r}.")
    return CorpusSource(spec, f"{spec} (text field {text_field!r})", partial(_documents, spec, text_field))


def _parts(spec: str) -> tuple[str, str, str]:
    """(name, configuration, split); the last two may be empty."""
    path, _, split = spec.removeprefix(HUB_PREFIX).partition("@")
    name, _, configuration = path.partition(":")
    return name, configuration, split


def _documents(spec: str, text_field: str, on_skip: OnSkip) -> Iterator[Document]:
    import datasets

    name, configuration, split = _parts(spec)
    try:
        rows = datasets.load_dataset(name, configuration or None, split=split or "train", streaming=True)
        columns = rows.column_names
        if columns is not None and text_field not in columns:
            raise CorpusError(f"The data set {name!r} has no column {text_field!r}; it has {named_fields(columns)}.")
        yield from documents_of_rows(name, _rows(rows, text_field), on_skip)
    except (OSError, ValueError, datasets.exceptions.DatasetsError, httpx2.HTTPError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CorpusError(f"The data set {name!r} cannot be read: {reason}") from error


def _rows(rows: Any, text_field: str) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        yield row_of_value(number, row, text_field, None)
