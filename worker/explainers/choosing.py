"""Which of several texts is best, by what they predict on the calibration split."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from app.domain.activations import ActivationRecord
from app.domain.results import SimulatedExcerpt
from app.domain.scores import correlation
from app.domain.steps.explainers import compared_records
from app.errors import MethodError
from worker.method.contracts import Candidate, CannotSimulate, Explainer, NeuronTask, Services, Simulator


@dataclass(frozen=True, slots=True)
class CalibrationScore:
    """Correlation on the calibration records, or why it is undefined. ``n_failed`` excerpts are missing."""

    value: float | None
    undefined_reason: str | None
    n_valid: int
    n_failed: int

    @property
    def rank(self) -> float:
        """For ordering: an undefined score is below every defined one."""
        return -2.0 if self.value is None else self.value


def simulator_of(services: Services, step: str) -> Simulator:
    """The method's own simulator. Raises MethodError for a method without one."""
    if services.simulator is None:
        raise MethodError(f"{step} chooses between texts by simulating them; the method has no simulator.")
    return services.simulator


def inner_of(services: Services, step: str) -> Explainer:
    """The explainer that another one builds on. Raises MethodError for a method without one."""
    if services.inner is None:
        raise MethodError(f"{step} builds on another explainer; it was given none.")
    return services.inner


def calibration_scores(texts: Sequence[str], task: NeuronTask, simulator: Simulator) -> tuple[CalibrationScore, ...]:
    """One score per text, in order; equal texts are simulated once.

    Raises ProviderError as the simulator does.
    """
    scores = {text: _score(text, task, simulator) for text in dict.fromkeys(texts)}
    return tuple(scores[text] for text in texts)


def _score(text: str, task: NeuronTask, simulator: Simulator) -> CalibrationScore:
    records = compared_records(task.records)
    simulations = simulated(text, records, task, simulator)
    valid = [(r.activations, s.expected) for r, s in zip(records, simulations, strict=True) if s.expected is not None]
    estimate = correlation([real for real, _ in valid], [expected for _, expected in valid])
    return CalibrationScore(estimate.value, estimate.undefined_reason, len(valid), len(records) - len(valid))


def simulated(
    text: str, records: Sequence[ActivationRecord], task: NeuronTask, simulator: Simulator
) -> tuple[SimulatedExcerpt, ...]:
    """The simulation of each record. A text that cannot be simulated fails them all.

    Calibration is left out: a line through the expected activations changes no correlation.
    """
    try:
        return simulator.simulate(text, [(r.excerpt_id, r.token_ids) for r in records], task.vocabulary)
    except CannotSimulate as error:
        return tuple(SimulatedExcerpt(r.excerpt_id, len(r.token_ids), None, error.message) for r in records)


def ranked(candidates: Sequence[Candidate], task: NeuronTask, simulator: Simulator) -> tuple[Candidate, ...]:
    """The candidates with their calibration scores in their provenance, best first, else in order.

    Raises ProviderError as the simulator does.
    """
    scores = calibration_scores([candidate.text for candidate in candidates], task, simulator)
    chosen_on = [record.excerpt_id for record in compared_records(task.records)]
    order = sorted(range(len(candidates)), key=lambda i: -scores[i].rank)
    return tuple(
        replace(
            candidates[i],
            provenance={
                **candidates[i].provenance,
                "calibration_score": asdict(scores[i]),
                "chosen_on": chosen_on,
            },
        )
        for i in order
    )
