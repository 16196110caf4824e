"""The headline score: Pearson correlation of expected and real activations."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.activations import SampleKind
from app.domain.results import HEADLINE_SAMPLE, ScoreResult
from app.domain.scores import Estimate, correlation_with_interval
from worker.contracts import ScoredExcerpt, Services

SAMPLES: Mapping[str, tuple[SampleKind, ...]] = {
    HEADLINE_SAMPLE: (SampleKind.TOP, SampleKind.RANDOM),
    **{kind.value: (kind,) for kind in SampleKind},
}
"""The named mixtures of excerpts a score may speak of."""


class CorrelationScorer:
    """Pearson r over all tokens laid end to end, once per sample it is asked to speak of."""

    name = "correlation"
    version = 1

    def __init__(self, samples: Sequence[str] = (HEADLINE_SAMPLE, SampleKind.RANDOM.value)) -> None:
        self.samples = tuple(samples)
        self.kinds = tuple(dict.fromkeys(kind for sample in samples for kind in SAMPLES[sample]))

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "CorrelationScorer":
        """The scorer of a method; ``samples`` names what it speaks of."""
        return cls(**parameters)

    def score(self, excerpts: Sequence[ScoredExcerpt], *, seed: int) -> tuple[ScoreResult, ...]:
        """One result per sample. An excerpt whose simulation failed is left out and counted."""
        return tuple(
            self._score(sample, [e for e in excerpts if e.kind in SAMPLES[sample]], seed) for sample in self.samples
        )

    def _score(self, sample: str, excerpts: Sequence[ScoredExcerpt], seed: int) -> ScoreResult:
        valid = [
            (e.kind, e.record.activations, e.simulated.expected) for e in excerpts if e.simulated.expected is not None
        ]
        estimate = self._estimate(valid, excerpts, seed)
        return ScoreResult(
            scorer=self.name,
            sample=sample,
            value=estimate.value,
            n_valid=len(valid),
            n_failed=len(excerpts) - len(valid),
            undefined_reason=estimate.undefined_reason,
            interval=estimate.interval,
        )

    @staticmethod
    def _estimate(
        valid: Sequence[tuple[SampleKind, Any, Any]], excerpts: Sequence[ScoredExcerpt], seed: int
    ) -> Estimate:
        if not excerpts:
            return Estimate(None, "the neuron has no such records")
        if not valid:
            return Estimate(None, f"no excerpt could be simulated: {excerpts[0].simulated.failure}")
        kinds = list(SampleKind)
        return correlation_with_interval(
            [real for _, real, _ in valid],
            [expected for _, _, expected in valid],
            [kinds.index(kind) for kind, _, _ in valid],
            seed=seed,
        )
