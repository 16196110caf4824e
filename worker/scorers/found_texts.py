"""False claims of an explanation, on excerpts of the corpus that are found by its own words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.domain.activations import NeuronRecords
from app.domain.arrays import Bools, Float32s, Float64s, Int32s
from app.domain.executed import FIRING_LEVEL, firing_threshold
from app.domain.intervals import SHARE, bootstrap_interval, share_interval
from app.domain.judgements import share
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.scores import Estimate
from app.domain.searches import searched_words
from app.domain.steps.scorers import FOUND, FOUND_AMONG, found
from app.domain.steps.spec import Records
from app.domain.tokens import Vocabulary
from app.errors import MethodError
from worker.method.contracts import CannotSimulate, NeuronTask, ScoredExcerpt, Services, Simulator
from worker.method.live import SubjectOfCorpus, live_subject, same_subject
from worker.scorers.samples import scored


class FoundTextsScorer:
    """Precision at natural frequency on excerpts that contain the text's own words.

    Random excerpts of the corpus are searched for words that the text quotes or names. Some of those found are
    simulated, and the subject is run on them. ``found_texts`` is the share of claimed tokens on which the neuron fires,
    by the threshold of executed explanations; ``found_texts_frequency`` is the share of excerpts found. Samples drawn
    by activation contain few such excerpts if a text claims too much. Source of the idea: evaluation on what an
    explanation selects, in Huang et al., "Rigorously assessing natural language explanations of neurons" (2023).
    """

    name = "found_texts"
    version = 1

    def __init__(self, simulator: Simulator, subject: SubjectOfCorpus, parameters: Mapping[str, Any]) -> None:
        self._simulator, self._subject = simulator, subject
        self._n_shown = found(parameters)
        self._n_searched = int(parameters.get("n_searched", FOUND_AMONG))

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "FoundTextsScorer":
        """``n_searched`` random excerpts are searched; ``n_excerpts`` of those found are used."""
        if services.simulator is None:
            raise MethodError(f"The scorer {cls.name} needs a simulator.")
        return cls(services.simulator, live_subject(services, cls.name), parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """None: the excerpts depend on the text."""
        return {}

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """Both numbers. Raises ProviderError like the simulator, MethodError for another subject's neuron."""
        words = searched_words(text)
        if not words:
            return self._failed("the text names nothing that could be searched")
        searched = same_subject(self._subject, task).corpus_excerpts(self._n_searched, seed=task.seed)
        if not searched:
            return self._failed("the text of the corpus is not kept on the worker's machine")
        places = np.flatnonzero(holding(searched, words, task.vocabulary))
        frequency = scored(
            f"{self.name}_frequency", FOUND, share(len(places), len(searched)), n_valid=len(searched), n=len(searched)
        )
        if not len(places):
            return (*self._failed(f"none of {len(searched):,} random excerpts holds a word of the text"), frequency)
        chosen = np.random.default_rng(task.seed).permutation(places)[: self._n_shown]
        return (self._precision(text, task, [searched[place] for place in chosen]), frequency)

    def _precision(self, text: str, task: NeuronTask, shown: Sequence[Int32s]) -> ScoreResult:
        try:
            simulated = self._simulator.simulate(
                text, [(-1 - rank, ids) for rank, ids in enumerate(shown)], task.vocabulary
            )
        except CannotSimulate as error:
            return self._result(Estimate(None, f"no excerpt could be simulated: {error.message}"), 0, len(shown))
        real = self._subject.excerpt_activations(shown, layer=task.layer, index=task.index)
        estimate = precision(real, simulated, firing_threshold(task.records.level_10), seed=task.seed)
        return self._result(estimate, sum(e.expected is not None for e in simulated), len(shown))

    def _result(self, estimate: Estimate, n_valid: int, n: int) -> ScoreResult:
        return scored(self.name, FOUND, estimate, n_valid=n_valid, n=n)

    def _failed(self, reason: str) -> tuple[ScoreResult, ...]:
        return (self._result(Estimate(None, reason), 0, 0),)


def holding(excerpts: Sequence[Int32s], words: Sequence[str], vocabulary: Vocabulary) -> Bools:
    """Which of E excerpts contain a word with one of these beginnings, in upper or lower case. [E]

    A beginning that is not a letter or digit, such as a bracket, is found anywhere.
    """
    parts = [(r"\b" if word[0].isalnum() else "") + re.escape(word) for word in words]
    pattern = re.compile("|".join(parts))
    return np.array([pattern.search(vocabulary.text(ids).lower()) is not None for ids in excerpts], dtype=np.bool_)


def precision(
    real: Sequence[Float32s],
    simulated: Sequence[SimulatedExcerpt],
    threshold: float,
    *,
    seed: int,
    what: str = "excerpts that the text finds",
) -> Estimate:
    """The share of claimed tokens on which the neuron fires, over uniformly drawn excerpts, with its interval.

    The bootstrap draws whole excerpts, since tokens of one are not independent. Only excerpts with claimed tokens are
    used: the others say nothing about the share and would make the interval too narrow. If the share is 0 or 1 in all
    of them, or there is only one, each counts as one trial. ``what`` names the excerpts in the reason if nothing is
    claimed.
    """
    rows = [
        (int((claimed & (a >= np.float32(threshold))).sum()), int(claimed.sum()))
        for a, e in zip(real, simulated, strict=True)
        if e.expected is not None
        for claimed in [e.expected >= FIRING_LEVEL]
    ]
    sums: Float64s = np.array(rows, dtype=np.float64).reshape(-1, 2)
    both, claims = sums.sum(axis=0)
    if not rows:
        return Estimate(None, f"no excerpt could be simulated: {simulated[0].failure}")
    if claims == 0:
        return Estimate(None, f"nothing is claimed on the {what}")
    value = float(both / claims)
    claiming = sums[sums[:, 1] > 0]
    n = len(claiming)
    if value in (0.0, 1.0) or n == 1:
        return Estimate(value, interval=share_interval(round(value * n), n))
    return Estimate(value, interval=bootstrap_interval(claiming, [0] * n, _ratio, SHARE, seed=seed))


def _ratio(sums: Float64s) -> Float64s:
    both, claims = sums.T
    return np.asarray(both / claims)
