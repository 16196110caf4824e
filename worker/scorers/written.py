"""Scores on sentences that a language model writes for an explanation, with the subject's real activations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.executed import firing_threshold
from app.domain.judgements import auc, harmonic_mean, share
from app.domain.results import ScoreResult
from app.domain.scores import Estimate
from app.domain.steps.scored_records import RATED_PER_SAMPLE
from app.domain.steps.scorers import WRITTEN
from app.domain.steps.scorers import written as n_written
from app.domain.steps.spec import Records
from app.errors import MethodError
from worker.method.contracts import CannotSimulate, NeuronTask, ScoredExcerpt, Services, Simulator
from worker.method.live import LiveSubject, live_subject
from worker.method.sentences import MeasuredSentence, measure, write_sentences
from worker.providers.base import Provider
from worker.scorers.found_texts import precision
from worker.scorers.samples import scored

MOST_TOKENS = 400
"""Tokens of a reply, in addition to the sentences themselves."""


class WrittenScorer:
    """Base of the scorers: sentences that fit the text, sentences just outside, and the subject's activations."""

    name: str
    version = 1
    seed_offset: int
    """Added to the task's seed, so that the sentences differ from those by which an explainer may have revised."""

    def __init__(self, provider: Provider, subject: LiveSubject, parameters: Mapping[str, Any]) -> None:
        self.provider, self.subject = provider, subject
        self.n_sentences = n_written(parameters)
        self.max_tokens: int = parameters.get("max_tokens", MOST_TOKENS)

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> Self:
        """``n_sentences`` of each kind are written; ``max_tokens`` limits the rest of the reply."""
        if services.provider is None:
            raise MethodError(f"The scorer {cls.name} needs a language model; the method names no provider.")
        return cls(services.provider, live_subject(services, cls.name), parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """Nothing."""
        return {}

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """The scorer's numbers; undefined if no sentences were written. Raises ProviderError, MethodError."""
        answer = write_sentences(
            self.provider, text, n=self.n_sentences, seed=task.seed + self.seed_offset, max_tokens=self.max_tokens
        )
        if answer.value is None:
            return self._failed(f"no test sentences were written: {answer.failure}")
        if task.records.level_10 <= 0:
            return self._failed("the neuron never fires in its records")
        return self.of_sentences(text, measure(answer.value, task, self.subject, maximum=task.records.level_10), task)

    def of_sentences(
        self, text: str, measured: Sequence[MeasuredSentence], task: NeuronTask
    ) -> tuple[ScoreResult, ...]:
        """The scorer's numbers, from the subject's activations on the sentences written for the text."""
        raise NotImplementedError

    def _failed(self, reason: str) -> tuple[ScoreResult, ...]:
        return (scored(self.name, WRITTEN, Estimate(None, reason), n_valid=0, n=2 * self.n_sentences),)


class BoundaryScorer(WrittenScorer):
    """Does the neuron fire inside the text and stay silent just outside of it?

    The harmonic mean of the share of fitting sentences on which it fires (``boundary_inside``) and the share of
    similar ones on which it does not (``boundary_outside``). Source of the idea: tests of explanations by
    counterexamples in "Language models can explain neurons in language models" (2023) and Huang et al., "Rigorously
    assessing natural language explanations of neurons" (2023).
    """

    name = "boundary"
    seed_offset = 1

    def of_sentences(
        self, text: str, measured: Sequence[MeasuredSentence], task: NeuronTask
    ) -> tuple[ScoreResult, ...]:
        """The mean and both shares."""
        inside = [m.fired for m in measured if m.sentence.fires]
        outside = [not m.fired for m in measured if not m.sentence.fires]
        counts = [(sum(right), len(right)) for right in (inside, outside)]
        numbers = (
            (self.name, harmonic_mean(*counts), len(measured)),
            (f"{self.name}_inside", share(*counts[0]), len(inside)),
            (f"{self.name}_outside", share(*counts[1]), len(outside)),
        )
        return tuple(scored(name, WRITTEN, estimate, n_valid=n, n=n) for name, estimate, n in numbers)


class OwnTextsScorer(WrittenScorer):
    """Is the neuron more active on sentences written for the text than on random text?

    2 AUC - 1 of peak activations: 1 if every sentence is above every random excerpt, 0 for chance, -1 if all are below.
    Random excerpts are cut to the mean length of the sentences, since a longer text has a higher peak. Source: the AUC
    of Kopf et al., "CoSy: Evaluating textual explanations of neurons" (2024), for text.
    """

    name = "own_texts"
    seed_offset = 2

    def of_sentences(
        self, text: str, measured: Sequence[MeasuredSentence], task: NeuronTask
    ) -> tuple[ScoreResult, ...]:
        """One number."""
        own = [m.record for m in measured if m.sentence.fires]
        length = max(1, round(float(np.mean([len(record.token_ids) for record in own]))))
        random = task.records.of(SampleKind.RANDOM, Split.VALIDATION)[:RATED_PER_SAMPLE]
        peaks = [record.peak for record in own] + [_peak_of_first(record, length) for record in random]
        estimate = _signed(auc([True] * len(own) + [False] * len(random), peaks))
        result = scored(self.name, WRITTEN, estimate, n_valid=len(peaks), n=len(peaks))
        return (replace(result, chance=0.0),)


class WrittenTextsScorer(WrittenScorer):
    """Precision on sentences written for the text: the share of claimed tokens on which the neuron fires.

    The sentences that fit and those just outside are simulated, and the subject is run on them: precision as in
    ``found_texts``, for texts whose own words are rare in the corpus. The sentences do not have natural frequency, so
    this number is shown beside ``found_texts`` and never averaged with it. Source of the idea: evaluation on what an
    explanation selects, in Huang et al. (2023), as for ``boundary``.
    """

    name = "written_texts"
    seed_offset = 3

    def __init__(
        self, provider: Provider, subject: LiveSubject, simulator: Simulator, parameters: Mapping[str, Any]
    ) -> None:
        super().__init__(provider, subject, parameters)
        self._simulator = simulator

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> Self:
        """``n_sentences`` of each kind are written; ``max_tokens`` limits the rest of the reply."""
        if services.provider is None:
            raise MethodError(f"The scorer {cls.name} needs a language model; the method names no provider.")
        if services.simulator is None:
            raise MethodError(f"The scorer {cls.name} needs a simulator.")
        return cls(services.provider, live_subject(services, cls.name), services.simulator, parameters)

    def of_sentences(
        self, text: str, measured: Sequence[MeasuredSentence], task: NeuronTask
    ) -> tuple[ScoreResult, ...]:
        """One number; undefined if nothing is claimed or nothing could be simulated."""
        records = [m.record for m in measured]
        shown = [(record.excerpt_id, record.token_ids) for record in records]
        try:
            simulated = self._simulator.simulate(text, shown, task.vocabulary)
        except CannotSimulate as error:
            return self._failed(f"no sentence could be simulated: {error.message}")
        threshold = firing_threshold(task.records.level_10)
        estimate = precision([r.activations for r in records], simulated, threshold, seed=task.seed, what="sentences")
        n_valid = sum(e.expected is not None for e in simulated)
        return (scored(self.name, WRITTEN, estimate, n_valid=n_valid, n=len(shown)),)


def _peak_of_first(record: ActivationRecord, length: int) -> float:
    return float(record.activations[:length].max())


def _signed(area: Estimate) -> Estimate:
    """An area under the curve, 0 to 1, rescaled to -1 to 1."""
    if area.value is None:
        return area
    interval = None if area.interval is None else (2 * area.interval[0] - 1, 2 * area.interval[1] - 1)
    return Estimate(2 * area.value - 1, interval=interval)
