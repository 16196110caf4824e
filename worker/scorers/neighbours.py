"""Neighbours: does the text fit this neuron better than the most similar ones?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.intervals import share_interval
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.scores import Estimate
from app.domain.steps.scored_records import Choice, choices, scored_records
from app.domain.steps.spec import Records
from app.errors import MethodError
from worker.method.contracts import CannotSimulate, NeuronTask, ScoredExcerpt, Services, Simulator
from worker.scorers.samples import scored


class NeighboursScorer:
    """A choice among four excerpts: the neuron's own and one of each of its three nearest neighbours.

    The excerpt with the highest expected activation, by the method's uncalibrated simulator, is chosen; m equal ones
    count 1/m each. The score is the share of choices of the neuron's own excerpt; chance is one in four, or higher if a
    neighbour has no excerpt of its own. Only this score notices a text that is equally true of other neurons. Source of
    the idea: discriminative tasks over similar units in Schwettmann et al., "FIND: A function description benchmark for
    evaluating interpretability methods" (2023), and contrastive evaluation in Paulo et al. (2024).
    """

    name = "neighbours"
    version = 2
    """Version 2: neighbours by co-firing and input weights; those without excerpts of their own are left out."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "NeighboursScorer":
        """It has no parameters."""
        if services.simulator is None:
            raise MethodError(f"The scorer {cls.name} needs a simulator.")
        return cls(services.simulator, **parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """The neuron's own excerpts of all choices."""
        return scored_records(records, (SampleKind.TOP.value,))

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """One number; undefined if the layer has no other neuron with records. Raises ProviderError."""
        asked = choices(task.records, task.neighbours)
        if not asked:
            return (self._result(Estimate(None, "no neuron that is like it has excerpts of its own"), (), 0),)
        simulated = self._simulated(text, asked, task)
        if isinstance(simulated, str):
            return (self._result(Estimate(None, simulated), asked, 0),)
        peaks = {excerpt.excerpt_id: _peak(excerpt) for excerpt in simulated if excerpt.expected is not None}
        chosen = [share for choice in asked if (share := _chosen(choice, peaks)) is not None]
        if not chosen:
            failure = next(excerpt.failure for excerpt in simulated if excerpt.failure is not None)
            return (self._result(Estimate(None, f"no choice could be simulated whole: {failure}"), asked, 0),)
        estimate = Estimate(float(np.mean(chosen)), interval=share_interval(round(sum(chosen)), len(chosen)))
        return (self._result(estimate, asked, len(chosen)),)

    def _simulated(self, text: str, asked: Sequence[Choice], task: NeuronTask) -> Sequence[SimulatedExcerpt] | str:
        """Every excerpt of the choices, simulated, or why none could be."""
        records = {r.excerpt_id: r for choice in asked for r in (choice.own, *choice.others)}
        wanted = [(excerpt_id, record.token_ids) for excerpt_id, record in records.items()]
        try:
            return self._simulator.simulate(text, wanted, task.vocabulary)
        except CannotSimulate as error:
            return error.message

    def _result(self, estimate: Estimate, asked: Sequence[Choice], n_valid: int) -> ScoreResult:
        result = scored(self.name, SampleKind.TOP.value, estimate, n_valid=n_valid, n=len(asked))
        return replace(result, chance=1 / (1 + len(asked[0].others)) if asked else None)


def _peak(excerpt: SimulatedExcerpt) -> float:
    return 0.0 if excerpt.expected is None or not excerpt.expected.size else float(excerpt.expected.max())


def _chosen(choice: Choice, peaks: Mapping[int, float]) -> float | None:
    """The share of the choice that is the neuron's own excerpt, 0..1; None if an excerpt could not be simulated."""
    records: tuple[ActivationRecord, ...] = (choice.own, *choice.others)
    found = [peaks.get(record.excerpt_id) for record in records]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return None
    highest = max(values)
    return (values[0] == highest) / values.count(highest)
