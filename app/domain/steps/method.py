"""A whole method in terms of the catalogue: its steps, prompts, needs, and the calls of one run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.baselines import BASELINES, SHUFFLED
from app.domain.language_models import Capability
from app.domain.methods import NO_CALIBRATION, MethodDefinition
from app.domain.steps.calls import NO_CALLS, ONCE, Calls
from app.domain.steps.catalogue import CALIBRATIONS, EXPLAINERS, SCORERS, SIMULATORS, UnknownStep, checked, named
from app.domain.steps.explainers import compared_records
from app.domain.steps.spec import (
    CalibrationSpec,
    ExplainerInput,
    ExplainerSpec,
    Explaining,
    Parameters,
    Records,
    ScorerInput,
    ScorerSpec,
    SimulatorSpec,
    StepSpec,
)

NO_RECORDS = NeuronRecords({}, maximum=0.0)
PARAMETERS = ("explainer", "simulator", "scorers", "calibration", "baselines", "seed")
"""The names of a method's own parameters, next to those of its steps."""
WRAPPING = ("explainer", "explainer_parameters")
"""Parameters of an explainer that wraps another."""


@dataclass(frozen=True, slots=True)
class ChosenExplainer:
    """An explainer with its parameters and the one it wraps."""

    spec: ExplainerSpec
    parameters: Parameters
    inner: "ChosenExplainer | None" = None

    @property
    def specs(self) -> tuple[ExplainerSpec, ...]:
        """The specs in the order in which they call the language model, the innermost first."""
        return (*(() if self.inner is None else self.inner.specs), self.spec)


@dataclass(frozen=True, slots=True)
class ChosenScorer:
    """A scorer with its parameters."""

    spec: ScorerSpec
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class MethodSteps:
    """The steps that a method names, found in the catalogue."""

    explainer: ChosenExplainer
    simulator: SimulatorSpec
    calibration: CalibrationSpec | None
    scorers: tuple[ChosenScorer, ...]
    baselines: tuple[str, ...]

    @property
    def specs(self) -> tuple[StepSpec, ...]:
        """All specs in the order of use, each once."""
        calibrations = () if self.calibration is None else (self.calibration,)
        steps = (*self.explainer.specs, self.simulator, *calibrations, *(scorer.spec for scorer in self.scorers))
        return tuple(dict.fromkeys(steps))

    @property
    def prompts(self) -> tuple[str, ...]:
        """The names of the steps' prompts, each once."""
        return tuple(dict.fromkeys(prompt for spec in self.specs for prompt in spec.prompts))

    @property
    def needs_subject(self) -> bool:
        """Whether a step runs the subject itself."""
        return any(spec.needs_subject for spec in self.specs)

    @property
    def needs_neighbours(self) -> bool:
        """Whether a step compares the neuron with the most similar ones of its layer."""
        return any(scorer.spec.needs_neighbours for scorer in self.scorers)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities that the method needs of its language model; empty if it calls none."""
        return frozenset(capability for spec in self.specs for capability in spec.capabilities)

    @property
    def kinds(self) -> tuple[SampleKind, ...]:
        """The kinds of samples whose records are simulated, each once."""
        return tuple(self.simulated(NO_RECORDS))

    def simulated(self, records: NeuronRecords) -> Records:
        """The records on which each text is simulated, for all scorers together."""
        return together(scorer.spec.simulated(records, scorer.parameters) for scorer in self.scorers)

    @property
    def needs_hard_negatives(self) -> bool:
        """Whether a step shows or scores hard negatives."""
        return SampleKind.HARD_NEGATIVE in self.kinds or any(spec.needs_hard_negatives for spec in self.specs)


def together(parts: Iterable[Records]) -> Records:
    """The union of several scorers' records by sample, in the order in which they are first needed."""
    found: dict[SampleKind, dict[int, ActivationRecord]] = {}
    for part in parts:
        for kind, records in part.items():
            found.setdefault(kind, {}).update((record.excerpt_id, record) for record in records)
    return {kind: tuple(records.values()) for kind, records in found.items()}


def steps_of(definition: MethodDefinition) -> MethodSteps:
    """A method's steps. Raises UnknownStep for names that do not exist and for steps that do not fit together."""
    parameters = checked(definition.parameters, PARAMETERS, "the method")
    of_scorers = checked(parameters.get("scorers", {}), definition.scorers, "the choice of scorers")
    calibration = parameters.get("calibration", NO_CALIBRATION)
    baselines = tuple(parameters.get("baselines", BASELINES))
    for baseline in baselines:
        if baseline not in BASELINES:
            raise UnknownStep(f"There is no baseline called {baseline!r}; there are: {', '.join(BASELINES)}.")
    simulator = named(SIMULATORS, definition.simulator, "simulator")
    _own(simulator, parameters.get("simulator", {}))
    return MethodSteps(
        explainer=chosen_explainer(definition.explainer, parameters.get("explainer", {})),
        simulator=simulator,
        calibration=None if calibration == NO_CALIBRATION else named(CALIBRATIONS, calibration, "calibration"),
        scorers=tuple(chosen_scorer(name, of_scorers.get(name, {})) for name in definition.scorers),
        baselines=baselines,
    )


def chosen_scorer(name: str, parameters: Parameters) -> ChosenScorer:
    """A scorer with its parameters. Raises UnknownStep."""
    spec = named(SCORERS, name, "scorer")
    return ChosenScorer(spec, _own(spec, parameters))


def chosen_explainer(name: str, parameters: Parameters, defaults: Parameters | None = None) -> ChosenExplainer:
    """An explainer with the one that it wraps, named by the parameters ``explainer`` and ``explainer_parameters``.

    ``defaults`` are parameters of the innermost explainer, if it calls a language model. Raises UnknownStep.
    """
    spec = named(EXPLAINERS, name, "explainer")
    if spec.wraps is None:
        _own(spec, parameters)
        return ChosenExplainer(spec, {**(defaults or {}), **parameters} if spec.asks else parameters)
    checked(parameters, (*spec.parameters, *WRAPPING), f"the explainer {name}")
    own = {key: value for key, value in parameters.items() if key not in WRAPPING}
    inner = chosen_explainer(
        parameters.get("explainer", spec.wraps),
        parameters.get("explainer_parameters", {}),
        {**spec.inner_parameters, **(defaults or {})},
    )
    if spec.wraps_prompted_only and not inner.spec.is_prompted:
        raise UnknownStep(f"{name} cannot build on {inner.spec.name}, which shows a language model no chosen records.")
    return ChosenExplainer(spec, own, inner)


def _own(spec: StepSpec, parameters: Parameters) -> Parameters:
    """A step's own parameters. Raises UnknownStep for a parameter that the step does not have."""
    return checked(parameters, spec.parameters, f"the {spec.kind} {spec.name}")


def calls_of(
    steps: MethodSteps,
    records: NeuronRecords,
    peer: NeuronRecords | None,
    neighbours: tuple[NeuronRecords, ...] = (),
) -> Calls:
    """The calls of one run on a neuron with these records, hard negatives included, while every reply is usable.

    ``peer`` is the neuron of the shuffled baseline, None if there is none; ``neighbours`` are the most similar neurons,
    for scorers that compare with them. A text is never simulated twice on one excerpt: the second time its stored reply
    is read.
    """
    explained = _explaining(steps, steps.explainer, records)
    base = _lengths(_simulated(steps, records, peer))
    choosing = _lengths(compared_records(records))
    more = {excerpt_id: length for excerpt_id, length in choosing.items() if excerpt_id not in base}
    simulate = steps.simulator.calls
    scoring = (
        s.spec.calls(ScorerInput(s.parameters, records, peer, simulate, neighbours)).times(
            ONCE if s.spec.asks_about_neuron else explained.candidates
        )
        for s in steps.scorers
    )
    return (
        explained.calls
        + explained.tested
        + simulate(base.values()).times(explained.candidates)
        + simulate(more.values()).times(explained.compared)
        + simulate(choosing.values()).times(explained.discarded)
        + sum(scoring, NO_CALLS)
    )


def _explaining(steps: MethodSteps, chosen: ChosenExplainer, records: NeuronRecords) -> Explaining:
    inner = None if chosen.inner is None else _explaining(steps, chosen.inner, records)
    return chosen.spec.calls(ExplainerInput(chosen.parameters, records, steps.simulator.calls, inner))


def _simulated(steps: MethodSteps, records: NeuronRecords, peer: NeuronRecords | None) -> Iterable[ActivationRecord]:
    """The records on which each candidate is simulated: the scored ones, the calibration's, the peer's."""
    scored = [record for rows in steps.simulated(records).values() for record in rows]
    yield from scored
    if scored and steps.calibration is not None:
        yield from steps.calibration.records(records)
    if peer is not None and SHUFFLED in steps.baselines:
        yield from (record for rows in steps.simulated(peer).values() for record in rows)


def _lengths(records: Iterable[ActivationRecord]) -> Mapping[int, int]:
    return {record.excerpt_id: len(record.token_ids) for record in records}
