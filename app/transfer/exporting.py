"""Export everything that is known of a subject's neurons, in our own format or another project's."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from app.db import Sessions
from app.domain.imports import WRITTEN, DataFormat
from app.errors import Invalid
from app.formats.files import File, replaced, write_files
from app.formats.neuronpedia.writer import neuronpedia_files
from app.formats.openai.writer import openai_files
from app.formats.own.jsonl import jsonl_lines
from app.formats.own.parquet import write_parquet
from app.formats.records import NeuronRecord
from app.queries.exports.neurons import ExportedSubject, exported_subject, neuron_chunk

ENDINGS = {
    DataFormat.JSONL: ".jsonl.gz",
    DataFormat.PARQUET: ".parquet",
    DataFormat.OPENAI: ".tar.gz",
    DataFormat.NEURONPEDIA: ".tar.gz",
}
"""The end of the name of the file that a queued export writes, by format."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The subject to export and the format."""

    slug: str
    format: DataFormat

    def __post_init__(self) -> None:
        if self.format not in WRITTEN:
            names = ", ".join(format.value for format in WRITTEN)
            raise Invalid(f"{self.format.label} is read and not written. Choose one of {names}.")


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """The progress of an export. ``share`` is the share of layers that are written, 0..1."""

    share: float
    n_neurons: int


Tell: TypeAlias = Callable[[ExportProgress], None]


def run_export(sessions: Sessions, request: ExportRequest, target: Path, *, tell: Tell) -> int:
    """Write a subject; returns the number of its neurons.

    JSONL and Parquet are one file, the other formats a folder or one archive (.zip, .tar, .tar.gz), by the target's
    name. Memory does not grow with the subject. Raises NotFound for an unknown subject, Invalid if the target cannot
    be written.
    """
    with sessions() as session:
        subject = exported_subject(session, slug=request.slug)
    counted = _Counted(sessions, subject, tell)
    try:
        _write(request.format, counted.records(), subject, target)
    except OSError as error:
        raise Invalid(f"{target} cannot be written: {error.strerror or error}.") from error
    return counted.n


class _Counted:
    """An iterator over a subject's neurons that counts them."""

    def __init__(self, sessions: Sessions, subject: ExportedSubject, tell: Tell) -> None:
        self._sessions, self._subject, self._tell = sessions, subject, tell
        self.n = 0

    def records(self) -> Iterator[NeuronRecord]:
        after: tuple[int, int] | None = None
        while True:
            with self._sessions() as session:
                chunk = neuron_chunk(session, subject=self._subject, after=after)
            if not chunk:
                return
            yield from chunk
            self.n += len(chunk)
            after = (chunk[-1].layer, chunk[-1].index)
            self._tell(ExportProgress(min(1.0, after[0] / max(1, self._subject.n_layers)), self.n))


def _write(format: DataFormat, records: Iterator[NeuronRecord], subject: ExportedSubject, target: Path) -> None:
    if format is DataFormat.PARQUET:
        write_parquet(records, target)
    elif format is DataFormat.JSONL:
        _write_lines(jsonl_lines(records), target)
    else:
        write_files(_files(format, records, subject), target)


def _files(format: DataFormat, records: Iterator[NeuronRecord], subject: ExportedSubject) -> Iterator[File]:
    if format is DataFormat.OPENAI:
        return openai_files(records)
    return neuronpedia_files(records, model_id=subject.slug)


def _write_lines(lines: Iterator[bytes], target: Path) -> None:
    with replaced(target) as path:
        if not target.name.endswith(".gz"):
            with path.open("wb") as file:
                file.writelines(lines)
            return
        with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=5, fileobj=raw, mtime=0) as file:
            file.writelines(lines)
