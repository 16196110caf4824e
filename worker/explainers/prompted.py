"""What explainers that show records to a language model have in common."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from app.domain.activations import ActivationRecord
from app.domain.bounds import LONGEST_EXPLANATION
from app.domain.steps.explainers import MOST_SHOWN
from app.errors import MethodError
from worker.method.contracts import Candidate, NeuronTask, Services
from worker.method.prompts import EXAMPLES, load
from worker.method.prompts.rendering import RESERVED, LevelledExcerpt, levelled
from worker.method.structured_requests import (
    Form,
    StructuredReply,
    StructuredRequest,
    json_object,
    object_schema,
    one_line,
    request_all,
)
from worker.providers.base import Message, Provider

MOST_TOKENS = 400
"""Of a reply; a model that reasons first needs more."""
SEED_STEP = 10
"""Between two prompts; a bad reply is requested again with the next seeds."""

Records = Sequence[ActivationRecord]


def read_explanation(reply: str) -> str:
    """The explanation in a reply. Raises Unusable where it is empty, over-long or not of the schema."""
    value = json_object(reply, frozenset({"explanation"}))["explanation"]
    return one_line(value, longest=LONGEST_EXPLANATION, forbidden=RESERVED)


EXPLANATION: Form[str] = Form("explanation/1", object_schema(explanation={"type": "string"}), read_explanation)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one prompt shows: excerpts of the neuron and, for some explainers, hard negatives."""

    excerpts: tuple[LevelledExcerpt, ...]
    similar: tuple[LevelledExcerpt, ...] = ()


def maximum_of(task: NeuronTask) -> float:
    """The activation of level 10, in the model's units: the neuron's maximum over all records, as in the 2023 paper.

    Imported neurons may lack it; then it is that of the records the explainer may see. Raises
    MethodError where the neuron never fires.
    """
    maximum = task.records.level_10
    if maximum <= 0:
        raise MethodError("The neuron never fires in its records; there is nothing to explain.")
    return maximum


class PromptedExplainer:
    """Shows train records in the form that ``body`` gives them; subclasses differ in little else."""

    name: str
    version: int
    prompt: str
    """The file with the instructions."""
    with_similar = False
    """Whether hard negatives are shown."""

    def __init__(
        self, provider: Provider, *, temperature: float = 0.0, seed: int = 0, max_tokens: int = MOST_TOKENS
    ) -> None:
        self.provider = provider
        self.temperature = temperature
        self.seed = seed
        self.max_tokens = max_tokens

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> Self:
        """The explainer of a method. Raises MethodError where the worker has no language model."""
        if services.provider is None:
            raise MethodError(f"The explainer {cls.name} needs a language model; the method names no provider.")
        return cls(services.provider, **parameters)

    def body(self, shown: Shown) -> str:
        """The data part of the prompt."""
        raise NotImplementedError(f"{type(self).__name__} does not implement how it shows records")

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One text. Raises MethodError where no reply was usable, ProviderError as the provider does."""
        return self.samples(task, 1)

    def samples(self, task: NeuronTask, n: int) -> tuple[Candidate, ...]:
        """Up to ``n`` texts from one prompt, each with its own seed, requested at once.

        Raises MethodError where there is nothing to show or not one reply was usable.
        """
        shown, similar = task.train[:MOST_SHOWN], self.similar(task)
        if not shown:
            raise MethodError("The neuron has no train records to explain.")
        answers = self.explain_each(task, {f"explain/{i}": shown for i in range(n)}, similar)
        candidates = tuple(candidate for candidate in answers if isinstance(candidate, Candidate))
        if not candidates:
            raise MethodError(f"The language model gave no usable explanation: {answers[-1]}")
        return candidates

    def similar(self, task: NeuronTask) -> Records:
        """The hard negatives that a prompt shows. Raises MethodError where it needs some and has none."""
        if not self.with_similar:
            return ()
        if not task.lookalikes:
            raise MethodError("The neuron has no hard negatives to contrast with.")
        return task.lookalikes[:MOST_SHOWN]

    def explain_each(
        self, task: NeuronTask, groups: Mapping[str, Records], similar: Records
    ) -> tuple[Candidate | str, ...]:
        """A candidate for each group of records (by the step's name), or the reason why there is none."""
        maximum = maximum_of(task)
        questions = [
            StructuredRequest(
                step=step,
                messages=self.messages(self._shown(task, records, similar, maximum)),
                form=EXPLANATION,
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                seed=self.seed + task.seed + SEED_STEP * i,
            )
            for i, (step, records) in enumerate(groups.items())
        ]
        return tuple(
            answer.failure or "no answer"
            if answer.value is None
            else Candidate(
                answer.value,
                self._provenance(question, answer, (records, similar), maximum),
                shown=_shown_ids(train=records, hard_negative=similar),
            )
            for question, answer, records in zip(
                questions, request_all(self.provider, questions), groups.values(), strict=True
            )
        )

    def messages(self, shown: Shown) -> tuple[Message, ...]:
        """The whole prompt: instructions, worked examples in the same form, the data."""
        return (
            Message("system", load(self.prompt).text),
            *self._examples(),
            Message("user", self.body(shown)),
        )

    def _examples(self) -> Iterator[Message]:
        for example, explanation in worked_examples():
            yield Message("user", self.body(example if self.with_similar else Shown(example.excerpts)))
            yield Message("assistant", json.dumps({"explanation": explanation}, ensure_ascii=False))

    @staticmethod
    def _shown(task: NeuronTask, records: Records, similar: Records, maximum: float) -> Shown:
        first, second = (
            tuple(levelled(record, task.vocabulary, maximum) for record in group) for group in (records, similar)
        )
        return Shown(first, second)

    def _provenance(
        self,
        question: StructuredRequest[str],
        answer: StructuredReply[str],
        shown: tuple[Records, Records],
        maximum: float,
    ) -> dict[str, Any]:
        records, similar = ([r.excerpt_id for r in group] for group in shown)
        return {
            "explain": {
                "step": question.step,
                "prompt": load(self.prompt).provenance,
                "examples": load(EXAMPLES).provenance,
                "form": question.form.version,
                "temperature": question.temperature,
                "seed": question.seed,
                "model": answer.model,
                "excerpt_ids": records,
                "similar_excerpt_ids": similar,
                "level_10": {"activation": maximum, "is": "the neuron's maximum over all records"},
            }
        }


def _shown_ids(**groups: Records) -> dict[str, tuple[int, ...]]:
    return {name: tuple(r.excerpt_id for r in records) for name, records in groups.items() if records}


@cache
def worked_examples() -> tuple[tuple[Shown, str], ...]:
    """Our own examples with their explanations, in the order in which a prompt shows them."""
    return tuple(
        (
            Shown(
                tuple(_example(pairs) for pairs in example["excerpts"]),
                tuple(_example([(token, 0) for token in tokens]) for tokens in example["similar"]),
            ),
            example["explanation"],
        )
        for example in load(EXAMPLES).data
    )


def _example(pairs: Sequence[tuple[str, int]]) -> LevelledExcerpt:
    return LevelledExcerpt(tuple(token.encode() for token, _ in pairs), tuple(level for _, level in pairs))
