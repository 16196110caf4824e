"""Several samples of another explainer; the best on the calibration split comes first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.domain.steps.explainers import SAMPLES
from worker.explainers.choosing import inner_of, ranked, simulator_of
from worker.explainers.prompted import PromptedExplainer
from worker.method.contracts import Candidate, Explainer, NeuronTask, Services, Simulator


class BestOfN:
    """All samples are kept as candidates, ordered by their correlation on the calibration split.

    The scored records have no part in the choice: the best of several scores would flatter the text.
    """

    name = "best_of_n"
    version = 1

    def __init__(self, explainer: Explainer, simulator: Simulator, *, n: int = SAMPLES) -> None:
        self.explainer = explainer
        self.simulator = simulator
        self.n = n

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "BestOfN":
        """``n`` is the number of calls of the inner explainer."""
        return cls(inner_of(services, cls.name), simulator_of(services, cls.name), **parameters)

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """The distinct texts, the best first. Raises MethodError where no sample was usable."""
        samples = tuple({candidate.text: candidate for candidate in reversed(self._samples(task))}.values())[::-1]
        return ranked(samples, task, self.simulator)

    def _samples(self, task: NeuronTask) -> tuple[Candidate, ...]:
        if isinstance(self.explainer, PromptedExplainer):
            return self.explainer.samples(task, self.n)
        seeds = range(task.seed, task.seed + self.n)
        return tuple(candidate for seed in seeds for candidate in self.explainer.explain(replace(task, seed=seed)))
