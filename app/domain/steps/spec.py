"""Descriptions of steps without their code: a ``StepSpec`` per explainer, simulator, calibration and scorer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.language_models import Capability
from app.domain.steps.calls import NO_CALLS, NOTHING, ONCE, Calls, Span

CHAT = frozenset({Capability.CHAT})
Parameters = Mapping[str, Any]
"""A step's own part of a method's parameters."""
Records = Mapping[SampleKind, tuple[ActivationRecord, ...]]
Simulate = Callable[[Iterable[int]], Calls]
"""Function from the lengths of excerpts, in tokens, to the calls that simulate one text on them."""


class StepKind(StrEnum):
    """The role of a step in a method."""

    EXPLAINER = "explainer"
    SIMULATOR = "simulator"
    CALIBRATION = "calibration"
    SCORER = "scorer"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepSpec:
    """The fields of every spec. A step that calls a language model names its prompts and needed capabilities."""

    kind: ClassVar[StepKind]

    name: str
    label: str
    """A few words, for choices and headings."""
    description: str
    """What it does, in one plain sentence."""
    blind_spot: str
    """What it does not notice, in one sentence."""
    parameters: tuple[str, ...] = ()
    """The names of its parameters. A wrapping explainer also takes ``explainer`` and ``explainer_parameters``."""
    prompts: tuple[str, ...] = ()
    """Files of ``worker/method/prompts``, without ``.txt``, in the order in which they are used."""
    capabilities: frozenset[Capability] = frozenset()
    """What the language model behind it must be able to do."""
    wraps: str | None = None
    """The explainer that is wrapped if the parameters name none; None for an explainer that wraps none."""
    needs_subject: bool = False
    """Whether it runs the subject itself, so that the worker must load it."""
    needs_hard_negatives: bool = False
    """Whether it shows or scores hard negatives: similar excerpts that do not activate the neuron.

    They are derived from the other samples where none were collected.
    """

    def __post_init__(self) -> None:
        if bool(self.prompts) != bool(self.capabilities):
            raise ValueError(f"{self.name}: prompts and capabilities go together")
        if not (self.label and self.description.endswith(".") and self.blind_spot.endswith(".")):
            raise ValueError(f"{self.name}: label, description and blind spot must be written")

    @property
    def needs(self) -> tuple[str, ...]:
        """The step's needs in words, without those of a step that it wraps."""
        inner = () if self.wraps is None else (f"another explainer, by default {self.wraps}",)
        models = tuple(
            "a language model" if c is Capability.CHAT else f"a language model with {c.label}"
            for c in sorted(self.capabilities)
        )
        subject = ("the subject itself",) if self.needs_subject else ()
        return (*inner, *models, *subject, *(("hard negatives",) if self.needs_hard_negatives else ()))

    @property
    def asks(self) -> bool:
        """Whether it calls a language model by itself."""
        return bool(self.capabilities)


@dataclass(frozen=True, slots=True)
class Explaining:
    """The size of explaining one neuron: the calls, apart from those that simulate records, and the texts.

    ``candidates`` is the number of texts that are scored; ``compared`` of them were simulated on the records that
    decide between texts. ``discarded`` texts were also compared and are not scored. ``tested`` are the calls that
    simulate texts on excerpts of the explainer's own; explanations with equal texts may share them.
    """

    calls: Calls
    candidates: Span = ONCE
    compared: Span = NOTHING
    discarded: Span = NOTHING
    tested: Calls = NO_CALLS


@dataclass(frozen=True, slots=True)
class ExplainerInput:
    """What an explainer's calls depend on. ``inner`` is the size of one explanation by the wrapped explainer."""

    parameters: Parameters
    records: NeuronRecords
    simulate: Simulate
    inner: Explaining | None = None

    def wrapped(self) -> Explaining:
        """The inner explanation. Raises ValueError where there is none."""
        if self.inner is None:
            raise ValueError("this explainer wraps another one")
        return self.inner


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExplainerSpec(StepSpec):
    """An explainer. One that wraps another names it in its parameter ``explainer``."""

    kind: ClassVar[StepKind] = StepKind.EXPLAINER

    calls: Callable[[ExplainerInput], Explaining]
    inner_parameters: Parameters = field(default_factory=dict)
    """Defaults for the innermost explainer, which calls the language model; the method's parameters override them."""
    wraps_prompted_only: bool = False
    """Whether the wrapped explainer must be one that ``is_prompted``."""

    @property
    def is_prompted(self) -> bool:
        """Whether the explainer shows its records to a language model itself, not through a wrapped explainer."""
        return self.asks and self.wraps is None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatorSpec(StepSpec):
    """A simulator. ``calls`` returns the calls that simulate one text on excerpts of given lengths, in tokens."""

    kind: ClassVar[StepKind] = StepKind.SIMULATOR

    calls: Simulate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSpec(StepSpec):
    """A calibration. It simulates each text once more, on ``records``, and fits a map to the results."""

    kind: ClassVar[StepKind] = StepKind.CALIBRATION

    records: Callable[[NeuronRecords], tuple[ActivationRecord, ...]]


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """What a scorer's calls for one text depend on.

    ``peer`` is the neuron of the shuffled baseline; ``neighbours`` are the most similar neurons of the same layer.
    """

    parameters: Parameters
    records: NeuronRecords
    peer: NeuronRecords | None
    simulate: Simulate
    neighbours: tuple[NeuronRecords, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScorerSpec(StepSpec):
    """A scorer: the samples that its score describes, the records to simulate, and its own calls for one text."""

    kind: ClassVar[StepKind] = StepKind.SCORER

    samples: Callable[[Parameters], tuple[str, ...]]
    simulated: Callable[[NeuronRecords, Parameters], Records]
    """The records on which each text must be simulated; empty if the scorer needs the text alone."""
    calls: Callable[[ScorerInput], Calls]
    """The calls for one text."""
    needs_neighbours: bool = False
    """Whether the neuron is compared with the most similar ones of its layer, whose records are then read."""
    asks_about_neuron: bool = False
    """Whether the calls depend on the neuron only, so that further texts need no further calls."""
