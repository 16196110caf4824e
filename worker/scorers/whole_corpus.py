"""Scores for the whole corpus, estimated from scored excerpts with known inclusion probabilities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.arrays import Float32s, Float64s
from app.domain.estimates import (
    DrawnExcerpt,
    Statistic,
    Weights,
    correlation_sums,
    detection_sums,
    drawn_excerpts,
    explained_variance_of,
    explained_variance_sums,
    weigh,
    weighted_interval,
)
from app.domain.executed import CORPUS, FIRING_LEVEL, firing_threshold
from app.domain.intervals import FISHER, PLAIN, SHARE, SHARE_EXPLAINED, Scale, share_interval
from app.domain.results import ScoreResult
from app.domain.scores import Estimate, not_finite, pearson
from app.domain.steps.scored_records import corpus_records
from app.domain.steps.spec import Records
from worker.method.baselines import token_lookup
from worker.method.contracts import NeuronTask, ScoredExcerpt, Services
from worker.scorers.samples import scored, why_not

LEAST_COVERED = 0.999
"""Least share of the corpus in strata that were drawn from; below it the estimate does not describe the corpus."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The distinct excerpts that have known inclusion probabilities and could be simulated."""

    real: tuple[Float32s, ...]
    predicted: tuple[Float32s, ...]
    """Predicted activations in the model's own units."""
    levels: tuple[Float32s, ...]
    """Expected activations, 0..10."""
    table: tuple[Float32s, ...] | None
    """The token table's predictions; None without a table."""
    weights: Weights


class WholeCorpusScorer:
    """Correlation of expected and real activations over all tokens of the corpus, weighted by inclusion probability.

    Further numbers: its margin over the token table (``whole_corpus_margin``), the explained variance
    (``whole_corpus_explained_variance``), and precision and recall at natural frequency (``whole_corpus_precision``,
    ``whole_corpus_recall``): a token counts as firing, and as claimed, from ``FIRING_LEVEL`` of
    ``app.domain.executed``. Excerpts come from the top sample, all bands and the random sample. Source of the weights:
    ``app.domain.estimates``.
    """

    name = "whole_corpus"
    version = 2
    """Version 2: a claim of level 3 counts for every neuron."""

    def __init__(self, excerpts_per_sample: int | None = None) -> None:
        self._parameters = {} if excerpts_per_sample is None else {"excerpts_per_sample": excerpts_per_sample}

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "WholeCorpusScorer":
        """``excerpts_per_sample``: validation records scored of each sample, 5 by default (35 in all)."""
        return cls(**parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """The first validation records of the top sample, the bands and the random sample."""
        return corpus_records(records, self._parameters)

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """Five numbers. Undefined, with the reason, if the corpus's strata are not known, as for imports."""
        valid = [e for e in excerpts if e.predicted is not None]
        found = self._drawn(task.records, valid) if valid else why_not(excerpts)
        n = {"n_valid": len(valid), "n": len(excerpts)}
        if isinstance(found, str):
            return tuple(scored(name, CORPUS, Estimate(None, found), **n) for name in NUMBERS)
        threshold = firing_threshold(task.records.level_10)
        baseline = None if found.table is None else _of_table(found).value
        results = (scored(name, CORPUS, number(found, threshold), **n) for name, number in NUMBERS.items())
        return tuple(replace(r, token_lookup_baseline=baseline) if r.scorer == self.name else r for r in results)

    def _drawn(self, records: NeuronRecords, valid: Sequence[ScoredExcerpt]) -> Scored | str:
        by_kind: dict[SampleKind, list[ActivationRecord]] = {}
        predicted: dict[int, Float32s] = {}
        levels: dict[int, Float32s] = {}
        for excerpt in valid:
            by_kind.setdefault(excerpt.kind, []).append(excerpt.record)
            if excerpt.predicted is not None and excerpt.simulated.expected is not None:
                predicted[excerpt.record.excerpt_id] = excerpt.predicted
                levels[excerpt.record.excerpt_id] = excerpt.simulated.expected
        pairs = drawn_excerpts(records, by_kind)
        if not pairs:
            return "the number of excerpts in each stratum of the corpus is not known"
        drawn: tuple[DrawnExcerpt, ...] = tuple(draw for _, draw in pairs)
        weights = weigh(drawn, records.populations)
        if 1 - weights.missing_share < LEAST_COVERED:
            strata = ", ".join(weights.missing)
            return f"no excerpt could be scored of strata that hold {weights.missing_share:.1%} of the corpus: {strata}"
        chosen = [pairs[index][0] for index in weights.indices]
        real = tuple(record.activations for record in chosen)
        expected = tuple(predicted[record.excerpt_id] for record in chosen)
        refusal = not_finite(real, expected)
        if refusal is not None:
            return str(refusal.undefined_reason)
        tables = [simulated.expected for simulated in token_lookup(records, chosen)]
        table = tuple(values for values in tables if values is not None)
        stated = tuple(levels[record.excerpt_id] for record in chosen)
        return Scored(real, expected, stated, table if len(table) == len(real) else None, weights)


def _estimate(
    found: Scored, sums: Float64s, statistic: Callable[[Float64s], Float64s], scale: Scale, why: str
) -> Estimate:
    value = float(statistic((found.weights.values @ sums)[None])[0])
    if not np.isfinite(value):
        return Estimate(None, why)
    return Estimate(value, interval=weighted_interval(found.weights, sums, statistic, scale))


def _correlation(found: Scored, _threshold: float) -> Estimate:
    sums = correlation_sums(found.real, found.predicted)
    return _estimate(found, sums, pearson, FISHER, "the real or the expected activations are the same on every token")


def _of_table(found: Scored) -> Estimate:
    """The token table's correlation on the same excerpts."""
    return _correlation(replace(found, predicted=found.table or ()), 0.0)


def _margin(found: Scored, _threshold: float) -> Estimate:
    """The correlation minus the token table's, paired by excerpt."""
    if found.table is None:
        return Estimate(None, "the neuron has no token table")
    own, table = correlation_sums(found.real, found.predicted), correlation_sums(found.real, found.table)
    width = own.shape[1]

    def statistic(sums: Float64s) -> Float64s:
        return np.asarray(pearson(sums[:, :width]) - pearson(sums[:, width:]))

    why = "the real activations, the expected ones or those of the token table are the same on every token"
    return _estimate(found, np.hstack([own, table]), statistic, PLAIN, why)


def _explained_variance(found: Scored, _threshold: float) -> Estimate:
    sums = explained_variance_sums(found.real, found.predicted)
    why = "the real activations are the same on every token"
    return _estimate(found, sums, explained_variance_of, SHARE_EXPLAINED, why)


def _detection(found: Scored, threshold: float) -> Float64s:
    # Claims are compared on the scale 0..10: in the model's units, level 3 may be rounded to below the threshold.
    claimed = [level >= FIRING_LEVEL for level in found.levels]
    return detection_sums([a >= np.float32(threshold) for a in found.real], claimed)


def _ratio(of: int) -> Statistic:
    def statistic(sums: Float64s) -> Float64s:
        both, whole = sums[:, 0], sums[:, of]
        return np.asarray(np.divide(both, whole, out=np.full(len(sums), np.nan), where=whole > 0))

    return statistic


def _share(found: Scored, threshold: float, of: int, why: str) -> Estimate:
    sums = _detection(found, threshold)
    estimate = _estimate(found, sums, _ratio(of), SHARE, why)
    if estimate.value is None or estimate.interval is not None:
        return estimate
    # If all excerpts are 0 or all 1, each informative excerpt counts as one trial.
    n = int((sums[:, of] > 0).sum())
    return Estimate(estimate.value, interval=share_interval(round(estimate.value * n), n))


def _precision(found: Scored, threshold: float) -> Estimate:
    return _share(found, threshold, 1, "nothing is claimed on any scored token")


def _recall(found: Scored, threshold: float) -> Estimate:
    return _share(found, threshold, 2, "the neuron fires on no scored token")


NUMBERS: Mapping[str, Callable[[Scored, float], Estimate]] = {
    "whole_corpus": _correlation,
    "whole_corpus_margin": _margin,
    "whole_corpus_explained_variance": _explained_variance,
    "whole_corpus_precision": _precision,
    "whole_corpus_recall": _recall,
}
"""The stored numbers by name."""
