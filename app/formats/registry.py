"""The reader of each format, and the format of a source by its first files."""

from collections.abc import Callable, Iterable, Mapping

from app.domain.imports import DataFormat
from app.errors import Invalid
from app.formats.delphi import DelphiReader
from app.formats.neuronpedia.reader import NeuronpediaReader
from app.formats.openai.reader import OpenAIReader
from app.formats.own.jsonl import JsonlReader
from app.formats.own.parquet import ParquetReader
from app.formats.reader import Reader
from app.formats.saedashboard import SAEDashboardReader
from app.formats.streams import READING, Entry
from app.formats.transluce import TransluceReader

LOOKED_AT = 50
"""Number of first files by which the format of a source is recognised."""
_BEGINNING = 65_536

_READERS: Mapping[DataFormat, Callable[[], Reader]] = {
    DataFormat.OPENAI: OpenAIReader,
    DataFormat.NEURONPEDIA: NeuronpediaReader,
    DataFormat.DELPHI: DelphiReader,
    DataFormat.SAEDASHBOARD: SAEDashboardReader,
    DataFormat.TRANSLUCE: TransluceReader,
    DataFormat.JSONL: JsonlReader,
    DataFormat.PARQUET: ParquetReader,
}
_MARKS: tuple[tuple[DataFormat, tuple[bytes, ...]], ...] = (
    (DataFormat.PARQUET, (b"PAR1",)),
    (DataFormat.JSONL, (b'"neuron-audit/',)),
    (DataFormat.SAEDASHBOARD, (b'"feature_index"', b'"skipped_indexes"')),
    (DataFormat.TRANSLUCE, (b'"activation_records"', b'"explanation_generation_metadata"', b'"simulation_data"')),
    (DataFormat.NEURONPEDIA, (b'"modelId"',)),
    (
        DataFormat.OPENAI,
        (b'"most_positive_activation_records"', b'"scored_explanations"', b'"neuron_id"', b'"random_sample"'),
    ),
)
"""What a file of each format has among its first bytes. Delphi's files are known by their names."""


def reader_of(format: DataFormat) -> Reader:
    """The reader of a format."""
    return _READERS[format]()


def format_of(entries: Iterable[Entry]) -> DataFormat:
    """The format that the first files have. Raises Invalid where none is known."""
    for _, entry in zip(range(LOOKED_AT), entries, strict=False):
        if DelphiReader().reads(entry.name):
            return DataFormat.DELPHI
        try:
            with entry.open() as stream:
                beginning = stream.read(_BEGINNING)
        except READING:
            continue
        for format, marks in _MARKS:
            if any(mark in beginning for mark in marks):
                return format
    raise Invalid("The format of these files is not known. Name it with --format.")
