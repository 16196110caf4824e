"""Base of scorers that compare real and expected activations."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from app.domain.activations import NeuronRecords, SampleKind
from app.domain.arrays import Float32s
from app.domain.results import ScoreResult
from app.domain.scores import Estimate
from app.domain.steps.scored_records import FITTED_SAMPLES, SAMPLES, scored_records
from app.domain.steps.spec import Records
from worker.method.contracts import ScoredExcerpt, Services

SILENT_BELOW_SHARE = 0.3
"""Share of the neuron's maximum: an excerpt with a lower peak is silent, so that no explanation need fit it."""
STRATA = {kind: stratum for stratum, kind in enumerate(SampleKind)}


class Formula(Protocol):
    """Computes a number with its interval from real and predicted activations, both in the model's units."""

    def __call__(
        self, real: Sequence[Float32s], predicted: Sequence[Float32s], strata: Sequence[int], /, *, seed: int
    ) -> Estimate:
        """[T] each, one pair and one stratum per excerpt."""
        ...


class SampleScorer:
    """Scores samples by given formulas, each applied once per sample."""

    name: str
    version: int
    formulas: tuple[tuple[str, Formula], ...]
    """The formulas, each with the name under which its number is stored."""

    def __init__(self, samples: Sequence[str] = FITTED_SAMPLES) -> None:
        self.samples = tuple(samples)

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> Self:
        """The scorer of a method; ``samples`` names the samples that it describes."""
        return cls(**parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """The first validation records of each kind in its samples."""
        return scored_records(records, self.samples)

    def score(self, excerpts: Sequence[ScoredExcerpt], *, seed: int) -> tuple[ScoreResult, ...]:
        """One result per formula and sample. An excerpt whose simulation failed is left out and counted as failed."""
        return tuple(
            result
            for sample in self.samples
            for result in self._score(sample, [e for e in excerpts if e.kind in SAMPLES[sample]], seed)
        )

    def _score(self, sample: str, excerpts: Sequence[ScoredExcerpt], seed: int) -> list[ScoreResult]:
        valid = [(e, predicted) for e in excerpts if (predicted := e.predicted) is not None]
        refusal = None if valid else Estimate(None, why_not(excerpts))
        rows = (
            [e.record.activations for e, _ in valid],
            [predicted for _, predicted in valid],
            [STRATA[e.kind] for e, _ in valid],
        )
        return [
            scored(name, sample, refusal or formula(*rows, seed=seed), n_valid=len(valid), n=len(excerpts))
            for name, formula in self.formulas
        ]


def why_not(excerpts: Sequence[ScoredExcerpt]) -> str:
    """Why nothing can be scored if none of these excerpts could be simulated."""
    if not excerpts:
        return "the neuron has no such records"
    return f"no excerpt could be simulated: {excerpts[0].simulated.failure}"


def scored(scorer: str, sample: str, estimate: Estimate, *, n_valid: int, n: int) -> ScoreResult:
    """An estimate as a result. ``n`` excerpts were requested."""
    return ScoreResult(
        scorer=scorer,
        sample=sample,
        value=estimate.value,
        n_valid=n_valid,
        n_failed=n - n_valid,
        undefined_reason=estimate.undefined_reason,
        interval=estimate.interval,
    )
