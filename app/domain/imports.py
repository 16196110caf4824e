"""Imports: their states, and the formats that are read and written."""

from dataclasses import dataclass
from enum import StrEnum


class ImportStatus(StrEnum):
    """Only a complete import's collection is shown."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class JudgementKind(StrEnum):
    """What somebody at another site has said of an explanation."""

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
        """The format in words, for pages and as the author of texts whose file names none."""
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
"""The formats that are written: the first two hold everything that is known."""


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import has read, and what of it was new."""

    neurons: int = 0
    """Records that were read: a neuron may be in several."""
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
"""The scorer of the correlation between the real and the expected activations that came with an imported score."""
