"""What is known of a step without its code: a ``StepSpec`` per explainer, simulator, calibration and scorer."""

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
"""The calls that simulate one text on excerpts of these lengths, in tokens."""


class StepKind(StrEnum):
    """What a step does in a method."""

    EXPLAINER = "explainer"
    SIMULATOR = "simulator"
    CALIBRATION = "calibration"
    SCORER = "scorer"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepSpec:
    """What every step has. A step that calls a language model names its prompts and the capabilities it needs."""

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
    """The explainer it is built on where its parameters name none; None where it is built on no other."""
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
        """What it needs, in words; the needs of a step that it wraps come on top."""
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
    """The size of explaining one neuron: its calls, apart from those that simulate records, and its texts.

    Of ``candidates``, which are all scored, ``compared`` were simulated on the records that choose between texts.
    ``discarded`` texts were compared as well and are not scored. ``tested`` are the calls that simulate texts on
    excerpts of the explainer's own; two explanations with equal texts may share them.
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
    """Defaults for the explainer inside that calls the language model; the method's parameters override them."""
    wraps_prompted_only: bool = False
    """Whether the explainer it wraps must be one that ``is_prompted``."""

    @property
    def is_prompted(self) -> bool:
        """Whether it shows its records to a language model itself, rather than through an explainer that it wraps."""
        return self.asks and self.wraps is None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatorSpec(StepSpec):
    """A simulator. ``calls`` simulates one text on excerpts of these lengths, in tokens."""

    kind: ClassVar[StepKind] = StepKind.SIMULATOR

    calls: Simulate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSpec(StepSpec):
    """A calibration. It simulates each text once more, on ``records``, and fits a map to them."""

    kind: ClassVar[StepKind] = StepKind.CALIBRATION

    records: Callable[[NeuronRecords], tuple[ActivationRecord, ...]]


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """What a scorer's calls for one text depend on.

    ``peer`` is the neuron of the shuffled baseline, ``neighbours`` are the most similar ones of the same layer.
    """

    parameters: Parameters
    records: NeuronRecords
    peer: NeuronRecords | None
    simulate: Simulate
    neighbours: tuple[NeuronRecords, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScorerSpec(StepSpec):
    """A scorer: the samples its score describes, the samples it needs simulated, its own calls for one text."""

    kind: ClassVar[StepKind] = StepKind.SCORER

    samples: Callable[[Parameters], tuple[str, ...]]
    simulated: Callable[[NeuronRecords, Parameters], Records]
    """The records that each text must be simulated on; no samples where it needs the text alone."""
    calls: Callable[[ScorerInput], Calls]
    """The calls for one text."""
    needs_neighbours: bool = False
    """Whether it compares the neuron with the most similar ones of its layer, so that their records are read."""
    asks_about_neuron: bool = False
    """Whether its calls concern the neuron and not the text, so that further texts need no further calls."""
