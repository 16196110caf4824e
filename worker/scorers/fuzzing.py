"""Fuzzing: do marked tokens fit the explanation?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM, ActivationRecord, SampleKind, Split, normalise
from app.domain.judgements import auc, balanced_accuracy
from app.domain.results import ScoreResult
from app.domain.steps.scored_records import RATED_PER_SAMPLE
from app.domain.tokens import Vocabulary
from worker.method.baselines import token_lookup
from worker.method.contracts import NeuronTask, ScoredExcerpt
from worker.method.prompts.rendering import ACTIVE_LEVEL, marked, shown_window
from worker.scorers.ratings import Judge, JudgingScorer, Rated, Shown, judged

SAMPLE = SampleKind.TOP.value

Marks = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A validation record with marks on its shown window: the right ones, or as many on silent tokens."""

    record: ActivationRecord
    marks: Marks
    right: bool


class FuzzingScorer(JudgingScorer):
    """A language model sees top excerpts with marked tokens and judges whether the marks fit the explanation.

    Each validation excerpt is shown twice, never in one request: with the marks where the neuron fires, and with runs
    of the same lengths on tokens where it is silent. Balanced accuracy (``fuzzing``) and AUC of the ratings
    (``fuzzing_auc``), chance 0.5. The counts are of shown excerpts; failures are counted separately. Source: fuzzing
    scoring of Paulo et al., "Automatically interpreting millions of features in large language models" (2024); ratings
    instead of yes and no are ours, for the AUC.
    """

    name = "fuzzing"
    version = 1

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """Both numbers for the top sample. Raises ProviderError as the provider does."""
        groups = fuzzed(task.records.of(SampleKind.TOP, Split.VALIDATION), task.records.level_10, task.seed)
        own = judged(self.name, SAMPLE, self._rated(text, groups, task, "fuzz"))
        shuffled: tuple[float | None, ...] = (None, None)
        if task.peer is not None and self.shuffled:
            peers = fuzzed(task.peer.of(SampleKind.TOP, Split.VALIDATION), task.peer.level_10, task.seed)
            rated = self._rated(text, peers, task, "fuzz/shuffled")
            shuffled = tuple(r.value for r in judged(self.name, SAMPLE, rated))
        table = _by_table(task, [item for group in groups for item in group])
        return tuple(
            replace(result, shuffled_baseline=s, token_lookup_baseline=t)
            for result, s, t in zip(own, shuffled, table, strict=True)
        )

    def _rated(self, text: str, groups: Sequence[Sequence[Item]], task: NeuronTask, step: str) -> tuple[Rated, ...]:
        shown = [[Shown(_body(item, task.vocabulary), item.right) for item in group] for group in groups]
        return Judge(self.provider, "fuzzing", task.seed, self.max_tokens).rate(text, shown, step=step)


def fuzzed(
    records: Sequence[ActivationRecord], level_10: float, seed: int
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Two groups with the same records; in which of them a record is marked correctly is random.

    A record without an active token, or without enough silent tokens for the wrong marks, is left out. Equal seeds give
    equal groups.
    """
    generator = np.random.default_rng(seed)
    pairs = []
    for record in records[:RATED_PER_SAMPLE]:
        levels = normalise(record.activations[shown_window(record)], level_10)
        right = tuple((levels >= ACTIVE_LEVEL).tolist())
        wrong = misplaced(right, tuple((levels == 0).tolist()), generator)
        if any(right) and wrong is not None:
            pairs.append((Item(record, right, right=True), Item(record, wrong, right=False)))
    coins = generator.integers(2, size=len(pairs)).tolist()
    first, second = (
        tuple(pair[coin if turn == 0 else 1 - coin] for pair, coin in zip(pairs, coins, strict=True)) for turn in (0, 1)
    )
    return first, second


def misplaced(marks: Marks, silent: Marks, generator: np.random.Generator) -> Marks | None:
    """Marks in separate runs of the same lengths as in ``marks``, on ``silent`` tokens only.

    None if there is no room for them.
    """
    runs = sorted((len(list(run)) for is_marked, run in groupby(marks) if is_marked), reverse=True)
    free, placed = list(silent), [False] * len(marks)
    for length in runs:
        starts = [i for i in range(len(free) - length + 1) if all(free[i : i + length])]
        if not starts:
            return None
        start = starts[int(generator.integers(len(starts)))]
        for i in range(max(0, start - 1), min(len(free), start + length + 1)):
            free[i] = False
        placed[start : start + length] = [True] * length
    return tuple(placed)


def _body(item: Item, vocabulary: Vocabulary) -> str:
    return marked(vocabulary.raw(item.record.token_ids[shown_window(item.record)]), item.marks)


def _by_table(task: NeuronTask, items: Sequence[Item]) -> tuple[float | None, float | None]:
    """Balanced accuracy and AUC of the token table, which rates marks by the mean activation predicted on them."""
    ratings = []
    for item, simulated in zip(items, token_lookup(task.records, [item.record for item in items]), strict=True):
        if simulated.expected is not None:
            ratings.append(float(simulated.expected[shown_window(item.record)][list(item.marks)].mean()))
    truth = [item.right for item in items]
    judged = [rating >= ACTIVE_LEVEL / NORMALISED_MAXIMUM * task.records.level_10 for rating in ratings]
    return balanced_accuracy(truth, judged).value, auc(truth, ratings).value
