"""Ablation scoring: do the simulated activations have the same downstream effect as the real ones?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.arrays import Float32s, Float64s
from app.domain.divergence import ablation_score, jensen_shannon
from app.domain.results import TOP_AND_RANDOM, ScoreResult
from app.domain.scores import Estimate
from app.domain.steps.scored_records import scored_records
from app.domain.steps.spec import Records
from worker.method.baselines import token_lookup
from worker.method.contracts import NeuronTask, ScoredExcerpt, Services
from worker.method.live import LiveSubject, live_subject, same_subject
from worker.scorers.samples import STRATA, scored, why_not

Divergences = Float64s


class AblationScorer:
    """1 - E[JSD(real, simulated)] / E[JSD(real, mean)] of the subject's output, on the scored excerpts.

    The neuron's activations are replaced on every token of an excerpt at once: by the predicted ones and, for
    comparison, by its mean over the corpus. The token-lookup baseline replaces them by the table's. There is no
    shuffled baseline, since another neuron's activations are meaningless here. Source: ablation scoring of "Language
    models can explain neurons in language models" (2023).
    """

    name = "ablation"
    version = 2

    def __init__(self, subject: LiveSubject, sample: str = TOP_AND_RANDOM) -> None:
        self.subject = subject
        self.sample = sample

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "AblationScorer":
        """``sample`` names the mixture of excerpts. Raises MethodError if no subject is loaded."""
        return cls(live_subject(services, cls.name), **parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """The first validation records of each kind in its sample."""
        return scored_records(records, (self.sample,))

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """One number. Raises MethodError if the neuron belongs to another subject."""
        valid = [(e, predicted) for e in excerpts if (predicted := e.predicted) is not None]
        mean = task.records.mean
        if not valid or mean is None:
            reason = "the neuron's mean over the corpus is not known" if valid else why_not(excerpts)
            return (scored(self.name, self.sample, Estimate(None, reason), n_valid=len(valid), n=len(excerpts)),)
        records = [e.record for e, _ in valid]
        tables = [a.expected for a in token_lookup(task.records, records) if a.expected is not None]
        rows = [
            self._divergences(record, task, (_constant(mean, predicted), predicted, table))
            for record, (_, predicted), table in zip(records, valid, tables, strict=True)
        ]
        at_mean, simulated, table = ([row[i] for row in rows] for i in range(3))
        strata = [STRATA[e.kind] for e, _ in valid]
        estimate = ablation_score(simulated, at_mean, strata, seed=task.seed)
        baseline = ablation_score(table, at_mean, strata, seed=task.seed)
        result = scored(self.name, self.sample, estimate, n_valid=len(valid), n=len(excerpts))
        return (replace(result, token_lookup_baseline=baseline.value),)

    def _divergences(
        self, record: ActivationRecord, task: NeuronTask, replacements: Sequence[Float32s]
    ) -> tuple[Divergences, ...]:
        """How much each replacement changes the output, per token. [T] each"""
        subject = same_subject(self.subject, task)

        def output(activations: Float32s | None) -> Float32s:
            return subject.log_probabilities(
                record.token_ids, layer=task.layer, index=task.index, activations=activations
            )

        real = output(None)
        return tuple(jensen_shannon(real, output(replaced)) for replaced in replacements)


def _constant(value: float, like: Float32s) -> Float32s:
    return np.full(like.shape, value, dtype=np.float32)
