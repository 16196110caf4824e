"""The code of every step in the catalogue, name -> class, and the construction of methods.

A class is built by ``Class.build(parameters, services)``. One that wraps an explainer gets it as ``services.inner``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from app.domain.activations import NeuronRecords
from app.domain.baselines import BASELINES
from app.domain.methods import MethodDefinition
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import ChosenExplainer, MethodSteps, together
from app.domain.steps.method import steps_of as catalogued
from app.domain.steps.spec import Records
from app.errors import MethodError
from worker.explainers.best_of_n import BestOfN
from worker.explainers.contrastive import Contrastive
from worker.explainers.highlighted import Highlighted
from worker.explainers.lexical import LexicalExplainer
from worker.explainers.per_meaning import PerMeaning
from worker.explainers.revise import Revise
from worker.explainers.token_activation_pairs import TokenActivationPairs
from worker.method.contracts import Explainer, Scorer, Services, Simulator, TextScorer
from worker.scorers.ablation import AblationScorer
from worker.scorers.absolute_deviation import AbsoluteDeviationScorer
from worker.scorers.correlation import CorrelationScorer
from worker.scorers.detection import DetectionScorer
from worker.scorers.explained_variance import ExplainedVarianceScorer
from worker.scorers.found_texts import FoundTextsScorer
from worker.scorers.fuzzing import FuzzingScorer
from worker.scorers.intruder import IntruderScorer
from worker.scorers.neighbours import NeighboursScorer
from worker.scorers.whole_corpus import WholeCorpusScorer
from worker.scorers.written import BoundaryScorer, OwnTextsScorer, WrittenTextsScorer
from worker.simulators.all_at_once import AllAtOnce
from worker.simulators.calibration import linear_calibration, percentile_calibration
from worker.simulators.lexical import LexicalSimulator
from worker.simulators.structured import Structured
from worker.simulators.token_by_token import TokenByToken

Built_co = TypeVar("Built_co", covariant=True)


class StepClass(Protocol[Built_co]):
    """A step's class: its name in the catalogue, and how it is built."""

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        ...

    def build(self, parameters: Mapping[str, Any], services: Services) -> Built_co:
        """Build the step for one method. Raises MethodError if something that it needs is missing."""
        ...


def _by_name(*classes: StepClass[Built_co]) -> Mapping[str, StepClass[Built_co]]:
    return {step.name: step for step in classes}


EXPLAINERS: Mapping[str, StepClass[Explainer]] = _by_name(
    LexicalExplainer, TokenActivationPairs, Highlighted, Contrastive, BestOfN, Revise, PerMeaning
)
SIMULATORS: Mapping[str, StepClass[Simulator]] = _by_name(LexicalSimulator, AllAtOnce, TokenByToken, Structured)
CALIBRATIONS: Mapping[str, Callable[[Simulator], Simulator]] = {
    "linear": linear_calibration,
    "percentile": percentile_calibration,
}
SCORERS: Mapping[str, StepClass[Scorer | TextScorer]] = _by_name(
    CorrelationScorer,
    WholeCorpusScorer,
    ExplainedVarianceScorer,
    AbsoluteDeviationScorer,
    AblationScorer,
    DetectionScorer,
    FuzzingScorer,
    NeighboursScorer,
    BoundaryScorer,
    OwnTextsScorer,
    FoundTextsScorer,
    WrittenTextsScorer,
    IntruderScorer,
)


@dataclass(frozen=True, slots=True)
class BuiltMethod:
    """A method with its steps built, ready for any number of neurons."""

    definition: MethodDefinition
    explainer: Explainer
    simulator: Simulator
    scorers: tuple[Scorer | TextScorer, ...]
    baselines: tuple[str, ...] = BASELINES

    def simulated(self, records: NeuronRecords) -> Records:
        """The records on which each text is simulated, for all scorers together."""
        return together(scorer.simulated(records) for scorer in self.scorers)

    @property
    def needs_hard_negatives(self) -> bool:
        """Whether hard negatives are derived for a neuron that has none."""
        return steps_of(self.definition).needs_hard_negatives


def steps_of(definition: MethodDefinition) -> MethodSteps:
    """A method's steps in the catalogue. Raises MethodError for steps that do not exist or do not fit together."""
    try:
        return catalogued(definition)
    except UnknownStep as error:
        raise MethodError(str(error)) from error


def build_method(definition: MethodDefinition, services: Services) -> BuiltMethod:
    """A method ready to run. Raises MethodError for steps that do not exist or whose needs are not met."""
    steps, parameters = steps_of(definition), definition.parameters
    simulator = SIMULATORS[steps.simulator.name].build(parameters.get("simulator", {}), services)
    services = replace(services, simulator=simulator)
    if steps.calibration is not None:
        simulator = CALIBRATIONS[steps.calibration.name](simulator)
    return BuiltMethod(
        definition=definition,
        explainer=build_explainer(steps.explainer, services),
        simulator=simulator,
        scorers=tuple(SCORERS[scorer.spec.name].build(scorer.parameters, services) for scorer in steps.scorers),
        baselines=steps.baselines,
    )


def build_explainer(chosen: ChosenExplainer, services: Services) -> Explainer:
    """Build an explainer after the one that it wraps. Raises MethodError if something needed is missing."""
    if chosen.inner is not None:
        services = replace(services, inner=build_explainer(chosen.inner, services))
    return EXPLAINERS[chosen.spec.name].build(chosen.parameters, services)
