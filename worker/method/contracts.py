"""The inputs and outputs of a method's steps.

Explainers, simulators and scorers know nothing of the database, the queue or each other: the text
is the only thing that passes from an explainer to a simulator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.arrays import Float32s, Int32s
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.sites import Site
from app.domain.steps.simulators import calibration_records
from app.domain.steps.spec import Records
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from app.errors import MethodError
from worker.providers.base import Provider


class CannotSimulate(MethodError):
    """The simulator finds nothing in this text that it can read."""


@dataclass(frozen=True, slots=True)
class NeuronTask:
    """The data about one neuron that a method may use. ``peer`` is another neuron of the same layer."""

    neuron_id: int
    subject: str
    layer: int
    index: int
    records: NeuronRecords
    vocabulary: Vocabulary
    peer: NeuronRecords | None
    seed: int
    neighbours: tuple[NeuronRecords, ...] = ()
    """The most similar neurons of the same layer, for scorers that compare with them."""
    collection_id: int | None = None
    site: Site | None = None
    """Where the subject's neurons are read; None outside a run."""
    run_id: int | None = None
    """The run under which calls to language models are stored; None outside a run."""
    text: str | None = None
    """A given explanation to simulate and score, instead of explaining."""

    @property
    def train(self) -> tuple[ActivationRecord, ...]:
        """The top sample's train split: the only records, besides ``lookalikes``, that an explainer may show."""
        return self.records.of(SampleKind.TOP, Split.TRAIN)

    @property
    def lookalikes(self) -> tuple[ActivationRecord, ...]:
        """The hard negatives' train split, which an explainer may show for contrast."""
        return self.records.of(SampleKind.HARD_NEGATIVE, Split.TRAIN)

    @property
    def tokens(self) -> TokenTable | None:
        """The token table without the held-out records.

        An explainer may show it. None if no collection has counted the tokens.
        """
        return self.records.open_tokens

    @property
    def calibration(self) -> tuple[ActivationRecord, ...]:
        """The records that may decide between texts and fit a calibration."""
        return calibration_records(self.records)


ShownRecords: TypeAlias = Mapping[str, tuple[int, ...]]
"""Ids of records in the order shown, by the split or sample that they were shown as: ``train``, ``hard_negative``."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One text of an explainer, with the record of how it was made."""

    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[ScoreResult, ...] = ()
    """Scores computed while explaining, on excerpts that are in no sample."""
    shown: ShownRecords = field(default_factory=dict)
    """The records from which the text was made: those in a prompt, or those read by the lexical explainer."""


def shown_together(*parts: ShownRecords) -> ShownRecords:
    """The union of the parts, each id once."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: tuple(dict.fromkeys(i for part in parts for i in part.get(name, ()))) for name in names}


class Explainer(Protocol):
    """Writes a text from train records."""

    name: str
    version: int

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One or more texts, the preferred first. Raises MethodError or ProviderError."""
        ...


class Simulator(Protocol):
    """Predicts expected activations from a text and tokens."""

    name: str
    version: int

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expected activations (0..10) for each (excerpt id, token ids [T]), in the same order.

        A failed excerpt has its reason. Raises CannotSimulate if the text as a whole cannot be simulated, ProviderError
        if a provider is down.
        """
        ...


@runtime_checkable
class CalibratedSimulator(Protocol):
    """A simulator that wraps another one and first fits it to a neuron's calibration records."""

    inner: Simulator
    """The wrapped simulator."""

    def fitted(self, text: str, task: NeuronTask) -> Simulator:
        """The simulator to use for this text and neuron. Uses only ``task.calibration``.

        Its expected activations are still in tenths of the neuron's ``level_10``, but unclamped.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScoredExcerpt:
    """Real and expected activations of one excerpt. ``kind`` is its sample.

    ``unit`` is the activation, in the model's units, that an expected activation of 1 corresponds to.
    """

    kind: SampleKind
    record: ActivationRecord
    simulated: SimulatedExcerpt
    unit: float = 1.0

    @property
    def predicted(self) -> Float32s | None:
        """The expected activations in the model's units [T]; None if the simulation failed."""
        expected = self.simulated.expected
        return None if expected is None else (expected * self.unit).astype(np.float32)


class Scorer(Protocol):
    """Computes numbers from real and expected activations."""

    name: str
    version: int

    def simulated(self, records: NeuronRecords) -> Records:
        """The records that must be simulated, by sample; none of them decided between texts."""
        ...

    def score(self, excerpts: Sequence[ScoredExcerpt], *, seed: int) -> tuple[ScoreResult, ...]:
        """One result, without baselines, for each sample that the score describes; validation records only."""
        ...


@runtime_checkable
class PairedScorer(Protocol):
    """A scorer that also measures the margin over the token table, paired by excerpt."""

    def margins(
        self, excerpts: Sequence[ScoredExcerpt], table: Sequence[ScoredExcerpt], *, seed: int
    ) -> tuple[ScoreResult, ...]:
        """The margins with intervals. ``table`` has the same records with the table's predictions."""
        ...


@runtime_checkable
class TextScorer(Protocol):
    """A scorer that needs more than real and expected activations: it asks a model about the text."""

    name: str
    version: int

    def simulated(self, records: NeuronRecords) -> Records:
        """The records that must be simulated, by sample; empty if the scorer asks about the text itself."""
        ...

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """One or more results, with their own baselines. Raises ProviderError if a provider is down."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The resources of a worker process for the steps of a method: a language model, the subject itself.

    A step is built by its class's ``build(parameters, services)``. Explainers and scorers also get the method's
    uncalibrated simulator, to decide between texts. An explainer that wraps another one gets that as ``inner``, already
    built.
    """

    provider: Provider | None = None
    subject: object | None = None
    simulator: Simulator | None = None
    inner: Explainer | None = None
