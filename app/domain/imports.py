"""Imports: their states, and the file formats that can be read and written."""

from dataclasses import dataclass
from enum import StrEnum


class ImportStatus(StrEnum):
    """The state of an import. Pages show collections of complete imports only."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class JudgementKind(StrEnum):
    """The kinds of judgements that people made of an explanation at another site."""

    FLAG = "flag"
    VERDICT = "verdict"


class DataFormat(StrEnum):
    """The formats of neurons with their explanations."""

    OPENAI = "openai"
    NEURONPEDIA = "neuronpedia"
    DELPHI = "delphi"
    SAEDASHBOARD = "saedashboard"
    TRANSLUCE = "transluce"
    JSONL = "jsonl"
    PARQUET = "parquet"

    @property
    def label(self) -> str:
        """The format in words, for pages, and as the author of texts whose file names no author."""
        return _LABELS[self]


_LABELS = {
    DataFormat.OPENAI: "OpenAI neuron-explainer",
    DataFormat.NEURONPEDIA: "Neuronpedia",
    DataFormat.DELPHI: "delphi",
    DataFormat.SAEDASHBOARD: "SAEDashboard",
    DataFormat.TRANSLUCE: "Transluce",
    DataFormat.JSONL: "Neuron Audit (JSONL)",
    DataFormat.PARQUET: "Neuron Audit (Parquet)",
}

WRITTEN = (DataFormat.JSONL, DataFormat.PARQUET, DataFormat.OPENAI, DataFormat.NEURONPEDIA)
"""The formats that can be written. The first two contain all that is known of a neuron."""


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """The number of records and rows that an import has read, and of those that were new."""

    neurons: int = 0
    """Neuron records that were read; a neuron may have several."""
    new_neurons: int = 0
    activation_records: int = 0
    new_activation_records: int = 0
    explanations: int = 0
    new_explanations: int = 0
    new_scores: int = 0
    new_simulations: int = 0

    def __add__(self, other: "ImportCounts") -> "ImportCounts":
        return ImportCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


RECOMPUTED = "correlation_recomputed"
"""The scorer that recomputes the correlation of the real and expected activations that came with an imported score."""
