"""Intruder: do the neuron's excerpts have anything in common that could be explained?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.judgements import share
from app.domain.results import TOP_AND_RANDOM, ScoreResult
from app.domain.scores import Estimate
from app.domain.steps.scored_records import RATED_PER_SAMPLE
from app.domain.steps.scorers import INTRUDER_SHOWN, intruder_questions
from app.domain.steps.spec import Records
from app.errors import MethodError
from worker.method.contracts import NeuronTask, ScoredExcerpt, Services
from worker.method.prompts import load
from worker.method.prompts.rendering import block, levelled, marked
from worker.method.structured_requests import Form, StructuredRequest, Unusable, json_object, object_schema, request_all
from worker.providers.base import Message, Provider
from worker.scorers.samples import SILENT_BELOW_SHARE, scored

MOST_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Excerpts in the order in which they are shown; ``odd`` is the 0-based index of the intruder."""

    records: tuple[ActivationRecord, ...]
    odd: int


class IntruderScorer:
    """A language model finds the random excerpt among excerpts on which the neuron fires, without any explanation.

    Accuracy over as many questions as there are silent random excerpts; chance is 1 in ``INTRUDER_SHOWN``. A question
    without a usable reply is counted separately. Source: Chang et al., "Reading tea leaves: how humans interpret topic
    models" (2009), and its use on latents by Paulo and Belrose, "Evaluating SAE interpretability without explanations"
    (2025).
    """

    name = "intruder"
    version = 1

    def __init__(self, provider: Provider, max_tokens: int = MOST_TOKENS) -> None:
        self.provider, self.max_tokens = provider, max_tokens

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "IntruderScorer":
        """``max_tokens`` limits a reply; a model that reasons first needs more."""
        if services.provider is None:
            raise MethodError(f"The scorer {cls.name} needs a language model; the method names no provider.")
        return cls(services.provider, **parameters)

    def simulated(self, records: NeuronRecords) -> Records:
        """Nothing."""
        return {}

    def score_text(self, text: str, task: NeuronTask, excerpts: Sequence[ScoredExcerpt]) -> tuple[ScoreResult, ...]:
        """One number, the same for every text of the neuron. Raises ProviderError as the provider does."""
        posed = puzzles(task.records, task.seed)
        answers = request_all(self.provider, [self._question(puzzle, i, task) for i, puzzle in enumerate(posed)])
        right = [a.value == puzzle.odd for a, puzzle in zip(answers, posed, strict=True) if a.value is not None]
        if posed and not right:
            estimate = Estimate(None, f"no question has an answer: {answers[0].failure}")
        elif not posed:
            estimate = Estimate(None, _why_nothing_is_asked(task.records))
        else:
            estimate = share(sum(right), len(right))
        result = scored(self.name, TOP_AND_RANDOM, estimate, n_valid=len(right), n=len(posed))
        return (replace(result, chance=1 / INTRUDER_SHOWN),)

    def _question(self, puzzle: Puzzle, number: int, task: NeuronTask) -> StructuredRequest[int]:
        n = len(puzzle.records)
        parts = [block(f"excerpt {i}", _plain(record, task)) for i, record in enumerate(puzzle.records, 1)]
        return StructuredRequest(
            step=f"intruder/{number}",
            messages=(Message("system", load("intruder").fill(n=n)), Message("user", "\n".join(parts))),
            form=Form(f"intruder/1/{n}", _SCHEMA, lambda reply: _read(reply, n)),
            max_tokens=self.max_tokens,
            seed=task.seed,
        )


_SCHEMA = object_schema(odd={"type": "integer", "minimum": 1})


def puzzles(records: NeuronRecords, seed: int) -> tuple[Puzzle, ...]:
    """A question for each silent random excerpt, among others on which the neuron fires; equal for equal seeds."""
    generator = np.random.default_rng(seed)
    firing = records.of(SampleKind.TOP, Split.VALIDATION)[:RATED_PER_SAMPLE]
    silent_below = SILENT_BELOW_SHARE * records.level_10
    random = records.of(SampleKind.RANDOM, Split.VALIDATION)[: intruder_questions(records)]
    found = []
    for intruder in (record for record in random if record.peak < silent_below):
        chosen = [firing[i] for i in generator.permutation(len(firing))[: INTRUDER_SHOWN - 1]]
        odd = int(generator.integers(INTRUDER_SHOWN))
        found.append(Puzzle((*chosen[:odd], intruder, *chosen[odd:]), odd))
    return tuple(found)


def _why_nothing_is_asked(records: NeuronRecords) -> str:
    if intruder_questions(records):
        return "the neuron fires in every random excerpt, so none is an intruder"
    return "the neuron has too few records to ask about"


def _plain(record: ActivationRecord, task: NeuronTask) -> str:
    tokens = levelled(record, task.vocabulary, 0.0).tokens
    return marked(tokens, [False] * len(tokens))


def _read(reply: str, n: int) -> int:
    """The 0-based index of the excerpt that a reply names."""
    odd = json_object(reply, frozenset({"odd"}))["odd"]
    if not isinstance(odd, int) or isinstance(odd, bool) or not 1 <= odd <= n:
        raise Unusable(f"{odd!r} is not the number of one of {n} excerpts")
    return odd - 1
