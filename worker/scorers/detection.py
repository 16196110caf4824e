"""Detection: does an excerpt fit the explanation?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.judgements import auc, balanced_accuracy
from app.domain.results import TOP_AND_RANDOM, ScoreResult
from app.domain.steps.scored_records import RATED_PER_SAMPLE
from app.domain.steps.scorers import NEGATIVES
from worker.method.baselines import token_lookup
from worker.method.contracts import NeuronTask, ScoredExcerpt
from worker.method.prompts.rendering import levelled, marked
from worker.scorers.ratings import Judge, JudgingScorer, Rated, Shown, judged
from worker.scorers.samples import SILENT_BELOW_SHARE

FITS_FROM_SHARE = 0.5
"""Share of the neuron's maximum: an excerpt fits if its peak reaches it, does not if silent; others are not rated."""


@dataclass(frozen=True, slots=True)
class Item:
    """One validation record that is rated."""

    kind: SampleKind
    record: ActivationRecord
    fits: bool


class DetectionScorer(JudgingScorer):
    """A language model sees validation excerpts without activations and judges which fit the explanation.

    Top excerpts against random ones and against hard negatives. Balanced accuracy (``detection``) and
    AUC of the ratings (``detection_auc``), chance 0.5; excerpts whose rating failed are counted separately.
    Source: detection scoring of Paulo et al., "Automatically interpreting millions of features in large
    language models" (2024); ratings instead of yes and no are ours, for the AUC.
    """

    name = "detection"
    version = 1

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """Both numbers for each sample that has records. Raises ProviderError as the provider does."""
        items = asked_about(task.records, task.seed)
        rated = self._rated(text, items, task, "detect")
        peer = asked_about(task.peer, task.seed) if task.peer is not None and self.shuffled else ()
        shuffled = self._rated(text, peer, task, "detect/shuffled")
        results: list[ScoreResult] = []
        for sample, negative in NEGATIVES.items():
            if sample != TOP_AND_RANDOM and not task.records.of(negative, Split.VALIDATION):
                continue
            own = judged(self.name, sample, _of(items, rated, negative))
            other = judged(self.name, sample, _of(peer, shuffled, negative))
            table = _by_table(task, [i for i in items if i.fits or i.kind is negative])
            results += (
                replace(result, shuffled_baseline=s.value, token_lookup_baseline=t)
                for result, s, t in zip(own, other, table, strict=True)
            )
        return tuple(results)

    def _rated(self, text: str, items: Sequence[Item], task: NeuronTask, step: str) -> tuple[Rated, ...]:
        judge = Judge(self.provider, "detection", task.seed, self.max_tokens)
        return judge.rate(text, [[_shown(item, task) for item in items]], step=step)


def asked_about(records: NeuronRecords, seed: int) -> tuple[Item, ...]:
    """The validation records that do or do not fit, in a random order; equal seeds give equal orders."""
    level_10 = records.level_10
    items = [
        Item(kind, record, fits=kind is SampleKind.TOP)
        for kind in (SampleKind.TOP, *NEGATIVES.values())
        for record in records.of(kind, Split.VALIDATION)[:RATED_PER_SAMPLE]
        if level_10 > 0
        and (
            record.peak >= FITS_FROM_SHARE * level_10
            if kind is SampleKind.TOP
            else record.peak < SILENT_BELOW_SHARE * level_10
        )
    ]
    return tuple(items[i] for i in np.random.default_rng(seed).permutation(len(items)))


def _shown(item: Item, task: NeuronTask) -> Shown:
    tokens = levelled(item.record, task.vocabulary, 0.0).tokens
    return Shown(marked(tokens, [False] * len(tokens)), item.fits)


def _of(items: Sequence[Item], rated: Sequence[Rated], negative: SampleKind) -> list[Rated]:
    return [r for item, r in zip(items, rated, strict=True) if item.kind in (SampleKind.TOP, negative)]


def _by_table(task: NeuronTask, items: Sequence[Item]) -> tuple[float | None, float | None]:
    """The token table's baseline: it rates an excerpt by the highest activation that it predicts there."""
    simulations = token_lookup(task.records, [item.record for item in items])
    peaks = [float(a.expected.max()) for a in simulations if a.expected is not None]
    truth = [item.fits for item in items]
    judged = [peak >= FITS_FROM_SHARE * task.records.level_10 for peak in peaks]
    return balanced_accuracy(truth, judged).value, auc(truth, peaks).value
