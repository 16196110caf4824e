"""What the steps of a method are given and must answer.

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
    """What a method may know about one neuron. ``peer`` is another neuron of the same layer."""

    neuron_id: int
    subject: str
    layer: int
    index: int
    records: NeuronRecords
    vocabulary: Vocabulary
    peer: NeuronRecords | None
    seed: int
    neighbours: tuple[NeuronRecords, ...] = ()
    """The most similar neurons of the same layer, where a scorer compares with them."""
    collection_id: int | None = None
    site: Site | None = None
    """Where the subject's neurons are read; None outside a run."""
    run_id: int | None = None
    """The run that calls to language models are stored under; None outside a run."""
    text: str | None = None
    """An explanation that is to be simulated and scored as it is: the method explains nothing."""

    @property
    def train(self) -> tuple[ActivationRecord, ...]:
        """The only records an explainer may show: the top sample's train split."""
        return self.records.of(SampleKind.TOP, Split.TRAIN)

    @property
    def lookalikes(self) -> tuple[ActivationRecord, ...]:
        """Excerpts an explainer may show for contrast: the hard negatives' train split."""
        return self.records.of(SampleKind.HARD_NEGATIVE, Split.TRAIN)

    @property
    def tokens(self) -> TokenTable | None:
        """The mean activation of the strongest tokens over the corpus, without the share of what is held out.

        An explainer may show it. None where no collection has counted it.
        """
        return self.records.open_tokens

    @property
    def calibration(self) -> tuple[ActivationRecord, ...]:
        """The records that may choose between texts and fit a calibration."""
        return calibration_records(self.records)


ShownRecords: TypeAlias = Mapping[str, tuple[int, ...]]
"""Ids of records, in the order in which they were shown, by what they were shown as: ``train``, ``hard_negative``..."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One text of an explainer, with what a reader needs to know how it came about."""

    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[ScoreResult, ...] = ()
    """Scores that were made while explaining, on excerpts that are in no sample."""
    shown: ShownRecords = field(default_factory=dict)
    """The records that the text was made from: those in a prompt, or those that the lexical explainer read."""


def shown_together(*parts: ShownRecords) -> ShownRecords:
    """Everything that is in one of the parts, each id once."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: tuple(dict.fromkeys(i for part in parts for i in part.get(name, ()))) for name in names}


class Explainer(Protocol):
    """Text from train records."""

    name: str
    version: int

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One or more texts, the preferred first. Raises MethodError or ProviderError."""
        ...


class Simulator(Protocol):
    """Expected activations from a text and tokens."""

    name: str
    version: int

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expected activations (0..10) for each (excerpt id, token ids [T]), in the same order.

        An excerpt that fails carries its reason. Raises CannotSimulate where the text as a whole
        gives nothing to simulate, ProviderError where a provider is down.
        """
        ...


@runtime_checkable
class CalibratedSimulator(Protocol):
    """A simulator that wraps another one and first fits it to a neuron's calibration records."""

    inner: Simulator
    """The one that it wraps."""

    def fitted(self, text: str, task: NeuronTask) -> Simulator:
        """The simulator to use for this text and neuron. Looks at ``task.calibration`` alone.

        Its expected activations are still in tenths of the neuron's ``level_10``, but unclamped.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScoredExcerpt:
    """Real and expected activations of one excerpt, side by side. ``kind`` is its sample.

    ``unit`` is the activation, in the model's units, that an expected activation of 1 corresponds to.
    """

    kind: SampleKind
    record: ActivationRecord
    simulated: SimulatedExcerpt
    unit: float = 1.0

    @property
    def predicted(self) -> Float32s | None:
        """The expected activations in the model's units [T], None where the simulation failed."""
        expected = self.simulated.expected
        return None if expected is None else (expected * self.unit).astype(np.float32)


class Scorer(Protocol):
    """Numbers from real and expected activations."""

    name: str
    version: int

    def simulated(self, records: NeuronRecords) -> Records:
        """The records that it needs simulated, by sample, none of which chose the text."""
        ...

    def score(self, excerpts: Sequence[ScoredExcerpt], *, seed: int) -> tuple[ScoreResult, ...]:
        """One result per sample that the score describes, in the validation split, without baselines."""
        ...


@runtime_checkable
class PairedScorer(Protocol):
    """A scorer that also measures how much better a text does than the token table, excerpt by excerpt."""

    def margins(
        self, excerpts: Sequence[ScoredExcerpt], table: Sequence[ScoredExcerpt], *, seed: int
    ) -> tuple[ScoreResult, ...]:
        """What the text adds, with intervals. ``table`` are the same records with the table's expectations."""
        ...


@runtime_checkable
class TextScorer(Protocol):
    """Numbers for which real and expected activations are not enough: it asks a model about the text."""

    name: str
    version: int

    def simulated(self, records: NeuronRecords) -> Records:
        """The records that it needs simulated, by sample; no samples where it asks about the text itself."""
        ...

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """One result or more, with its own baselines. Raises ProviderError where a provider is down."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What a worker process holds for the steps of a method: a language model, the subject itself.

    A step is built by its class's ``build(parameters, services)``. An explainer and a scorer are
    also handed the method's simulator, without its calibration, to choose between texts, and an explainer
    that wraps another one is handed that, ``inner``, built already.
    """

    provider: Provider | None = None
    subject: object | None = None
    simulator: Simulator | None = None
    inner: Explainer | None = None
