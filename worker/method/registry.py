"""The steps a method may name: name -> (label, "module:Class"), resolved when first asked for.

A class is built by ``Class.build(parameters, services)``. Nothing is imported before, so that a
worker without a library can still run the methods that do not need it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from app.domain.activations import SampleKind
from app.domain.methods import MethodDefinition
from app.errors import MethodError
from worker.method.baselines import BASELINES
from worker.method.contracts import Explainer, Scorer, Services, Simulator, TextScorer


@dataclass(frozen=True, slots=True)
class Entry:
    """One step: what people call it, and where it stands."""

    label: str
    path: str
    needs_subject: bool = False
    """Whether it runs the subject itself, so that the worker must load it."""


EXPLAINERS: Mapping[str, Entry] = {
    "lexical": Entry("Lexical: quotes tokens and contexts", "worker.explainers.lexical:LexicalExplainer"),
    "token_activation_pairs": Entry(
        "Tokens and levels: one per line, as in the 2023 paper",
        "worker.explainers.token_activation_pairs:TokenActivationPairs",
    ),
    "highlighted": Entry("Highlighted: running text with marks", "worker.explainers.highlighted:Highlighted"),
    "contrastive": Entry("Contrastive: against look-alikes", "worker.explainers.contrastive:Contrastive"),
    "best_of_n": Entry("Best of n samples of another explainer", "worker.explainers.best_of_n:BestOfN"),
    "revise": Entry(
        "Revise: tested on sentences, then corrected", "worker.explainers.revise:Revise", needs_subject=True
    ),
    "per_meaning": Entry(
        "Per meaning: one text per group of excerpts", "worker.explainers.per_meaning:PerMeaning", needs_subject=True
    ),
}
SIMULATORS: Mapping[str, Entry] = {
    "lexical": Entry("Lexical: reads quoted tokens and contexts", "worker.simulators.lexical:LexicalSimulator"),
    "all_at_once": Entry("All at once: log-probabilities at every token", "worker.simulators.all_at_once:AllAtOnce"),
    "token_by_token": Entry("Token by token: one question each", "worker.simulators.token_by_token:TokenByToken"),
    "structured": Entry("Structured: one JSON answer per excerpt", "worker.simulators.structured:Structured"),
}
CALIBRATIONS: Mapping[str, Entry] = {
    "linear": Entry("Least squares on the calibration records", "worker.simulators.calibration:linear_calibration"),
    "percentile": Entry(
        "Equal ranks on the calibration records", "worker.simulators.calibration:percentile_calibration"
    ),
}
"""What may stand around a simulator; a method that names none leaves it as it is."""
SCORERS: Mapping[str, Entry] = {
    "correlation": Entry(
        "Correlation of expected and real activations", "worker.scorers.correlation:CorrelationScorer"
    ),
    "explained_variance": Entry(
        "Variance of the real activations that the predicted ones explain",
        "worker.scorers.explained_variance:ExplainedVarianceScorer",
    ),
    "absolute_deviation": Entry(
        "Absolute size of the real activations that the predicted ones explain",
        "worker.scorers.absolute_deviation:AbsoluteDeviationScorer",
    ),
    "ablation": Entry(
        "Effect of the simulated activations on the subject's output",
        "worker.scorers.ablation:AblationScorer",
        needs_subject=True,
    ),
    "detection": Entry("Detection: does this excerpt fit?", "worker.scorers.detection:DetectionScorer"),
    "fuzzing": Entry("Fuzzing: do these marked tokens fit?", "worker.scorers.fuzzing:FuzzingScorer"),
}


@dataclass(frozen=True, slots=True)
class BuiltMethod:
    """A method with its steps built, ready for any number of neurons."""

    definition: MethodDefinition
    explainer: Explainer
    simulator: Simulator
    scorers: tuple[Scorer | TextScorer, ...]
    baselines: tuple[str, ...] = BASELINES

    @property
    def kinds(self) -> tuple[SampleKind, ...]:
        """The samples that its scorers speak of."""
        return tuple(dict.fromkeys(kind for scorer in self.scorers for kind in scorer.kinds))


def resolve(entries: Mapping[str, Entry], name: str, step: str) -> Any:
    """The class of a step. Raises MethodError for a name that the registry does not know."""
    if name not in entries:
        raise MethodError(f"There is no {step} called {name!r}; there are: {', '.join(sorted(entries))}.")
    module, _, attribute = entries[name].path.partition(":")
    return getattr(import_module(module), attribute)


def needs_subject(definition: MethodDefinition) -> bool:
    """Whether one of the method's steps runs the subject itself."""
    named = [EXPLAINERS.get(definition.explainer), *(SCORERS.get(name) for name in definition.scorers)]
    inner = definition.parameters.get("explainer", {}).get("explainer")
    return any(entry is not None and entry.needs_subject for entry in (*named, EXPLAINERS.get(inner)))


def build_method(definition: MethodDefinition, services: Services) -> BuiltMethod:
    """A method ready to run. Raises MethodError for steps or baselines that do not exist."""
    parameters = definition.parameters
    baselines = tuple(parameters.get("baselines", BASELINES))
    unknown = sorted(set(baselines) - set(BASELINES))
    if unknown:
        raise MethodError(f"There is no baseline called {unknown[0]!r}; there are: {', '.join(BASELINES)}.")
    simulator = resolve(SIMULATORS, definition.simulator, "simulator").build(parameters.get("simulator", {}), services)
    if (calibration := parameters.get("calibration", "none")) != "none":
        simulator = resolve(CALIBRATIONS, calibration, "calibration")(simulator)
    services = replace(services, simulator=simulator)
    return BuiltMethod(
        definition=definition,
        explainer=resolve(EXPLAINERS, definition.explainer, "explainer").build(
            parameters.get("explainer", {}), services
        ),
        simulator=simulator,
        scorers=tuple(
            resolve(SCORERS, name, "scorer").build(parameters.get("scorers", {}).get(name, {}), services)
            for name in definition.scorers
        ),
        baselines=baselines,
    )
