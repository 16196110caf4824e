"""One model of a neuron as files hold it: every reader yields it, every writer takes it.

What a file does not say is None or empty, never a default. Fields that only one format knows are kept as JSON values in
``facts``, so that what was read can be written again. Numbers are Python's floats: nothing is rounded here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeAlias

from app.domain.authors import AuthorKind
from app.domain.samples import SampleKind
from app.domain.splits import Split

Facts: TypeAlias = Mapping[str, Any]
"""JSON values by the names that their format gives them."""


class ActivationUnit(StrEnum):
    """The meaning of an expected activation of 1. The values are those of OpenAI's files."""

    NEURON = "neuron_activations"
    """The model's own units."""
    LEVELS = "simulated_normalized_activations"
    """0..10, where 10 is the neuron's maximum."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was read: the file as its source names it, and the line, counted from 1, of files of lines."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class ActivationRecord:
    """One neuron on one excerpt: T tokens, as the file writes them, and one activation each, in the model's units."""

    tokens: Sequence[str]
    activations: Sequence[float]
    token_ids: Sequence[int] | None = None
    """Token ids of the model's own tokenizer."""
    document: str | None = None
    position: int | None = None
    """The position of the first token in its document, in tokens."""
    probability: float | None = None
    """The probability with which the excerpt was drawn into its sample."""
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SampleRecords:
    """The records of one sample, in the order of the file."""

    kind: SampleKind
    records: Sequence[ActivationRecord]


@dataclass(frozen=True, slots=True)
class Simulation:
    """Expected activations of one excerpt, one per token; None where the simulator gave none.

    ``values`` and ``probabilities`` are the distribution behind each expected activation, where it is known: for each
    token as many of the one as of the other.
    """

    tokens: Sequence[str]
    expected: Sequence[float | None]
    unit: ActivationUnit
    values: Sequence[Sequence[float]] = ()
    probabilities: Sequence[Sequence[float]] = ()
    uncalibrated: "Simulation | None" = None


@dataclass(frozen=True, slots=True)
class ScoredSimulation:
    """A simulation with the real activations of the same tokens, and scores of this excerpt alone by scorer."""

    simulation: Simulation
    activations: Sequence[float]
    scores: Mapping[str, float | None] = field(default_factory=dict)
    kind: SampleKind | None = None
    """The sample to which the excerpt belongs, if known."""
    split: Split | None = None
    simulator: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's number for an explanation, or the reason why there is none."""

    scorer: str
    sample: str
    value: float | None
    undefined_reason: str | None = None
    interval: tuple[float, float] | None = None
    n_valid: int | None = None
    n_failed: int | None = None
    token_lookup_baseline: float | None = None
    shuffled_baseline: float | None = None
    chance: float | None = None
    simulator: str | None = None
    method: str | None = None
    created_at: str | None = None
    """ISO 8601, as are all dates here."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A person's complaint about an explanation."""

    reason: str
    note: str
    by: str
    created_at: str
    outcome: str | None = None
    """The outcome of the review; None while the flag is open."""
    is_imported: bool = False
    """Whether it was opened at another site than the one that wrote the file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reviewer's judgement of an explanation in a campaign."""

    campaign: str
    reviewer: str
    verdict: str
    kind: str | None
    confidence: str | None
    note: str
    created_at: str
    is_imported: bool = False
    """Whether it was given at another site than the one that wrote the file."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A text about a neuron with everything that is known of it."""

    text: str
    author: str | None = None
    author_kind: AuthorKind | None = None
    method: str | None = None
    rank: int | None = None
    created_at: str | None = None
    scores: Sequence[Score] = ()
    simulations: Sequence[ScoredSimulation] = ()
    flags: Sequence[Flag] = ()
    verdicts: Sequence[Verdict] = ()
    provenance: Facts = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statistics:
    """A neuron over a corpus, in the model's own units. What is not known is None."""

    mean: float | None = None
    variance: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    min: float | None = None
    max: float | None = None
    firing_rate: float | None = None
    peak_quantiles: Sequence[float] | None = None
    histogram_counts: Sequence[int] | None = None
    histogram_edges: Sequence[float] | None = None

    @property
    def known(self) -> dict[str, Any]:
        """The known statistics by name."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


NOTHING_KNOWN = Statistics()


@dataclass(frozen=True, slots=True)
class NeuronRecord:
    """What one part of a file says of one neuron.

    A neuron may be spread over several records, in any order: its activations in one file, its explanations in another.
    """

    layer: int
    index: int
    origin: Origin
    model: str | None = None
    """The model's name in the file."""
    source: str | None = None
    """The set of neurons as the file names it: Neuronpedia's ``5-gemmascope-res-16k``, delphi's module."""
    statistics: Statistics = NOTHING_KNOWN
    samples: Sequence[SampleRecords] = ()
    explanations: Sequence[Explanation] = ()
    loose_scores: Sequence[Score] = ()
    """Scores of the neuron's only explanation by the author of the format; another file has that explanation."""
    failures: Sequence[str] = ()
    """Reasons why methods found no explanation."""
    facts: Facts = field(default_factory=dict)
