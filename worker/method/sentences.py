"""Sentences that a language model writes to test an explanation, and the subject's activations on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.activations import ActivationRecord, normalise
from worker.method.contracts import NeuronTask
from worker.method.live import LiveSubject, same_subject
from worker.method.prompts import load
from worker.method.prompts.rendering import ACTIVE_LEVEL, block, escape
from worker.method.structured_requests import (
    Form,
    StructuredReply,
    StructuredRequest,
    Unusable,
    json_object,
    object_schema,
    one_line,
    request_all,
)
from worker.providers.base import Message, Provider

LONGEST_SENTENCE = 300
"""Characters of a sentence."""
TOKENS_PER_SENTENCE = 60


@dataclass(frozen=True, slots=True)
class Sentence:
    """A test sentence; ``fires`` is whether the explanation claims that the neuron fires on it."""

    text: str
    fires: bool


def write_sentences(
    provider: Provider, text: str, *, n: int, seed: int, max_tokens: int
) -> StructuredReply[tuple[Sentence, ...]]:
    """``n`` sentences on which the neuron should fire and ``n`` on which it should not.

    In the order fires, fires, silent, silent, ..., so that every second sentence is of each kind equally often. Raises
    ProviderError as the provider does.
    """
    messages = (
        Message("system", load("write_sentences").fill(n=n)),
        Message("user", block("claim", escape(text))),
    )
    question = StructuredRequest(
        step="sentences",
        messages=messages,
        form=_form(n),
        max_tokens=max_tokens + TOKENS_PER_SENTENCE * 2 * n,
        temperature=0.7,
        seed=seed,
    )
    return request_all(provider, [question])[0]


def _form(n: int) -> Form[tuple[Sentence, ...]]:
    texts = {"type": "array", "items": {"type": "string"}}
    return Form(f"sentences/1/{n}", object_schema(fires=texts, silent=texts), lambda reply: _read(reply, n))


def _read(reply: str, n: int) -> tuple[Sentence, ...]:
    value = json_object(reply, frozenset({"fires", "silent"}))
    sorts = []
    for name in ("fires", "silent"):
        texts = value[name]
        if not isinstance(texts, list) or len(texts) != n:
            raise Unusable(f"{name} is not a list of {n} texts")
        sorts.append([Sentence(one_line(t, longest=LONGEST_SENTENCE), fires=name == "fires") for t in texts])
    return tuple(s for i in range(0, n, 2) for sort in sorts for s in sort[i : i + 2])


@dataclass(frozen=True, slots=True)
class MeasuredSentence:
    """A test sentence with the neuron's real activations on it."""

    sentence: Sentence
    record: ActivationRecord
    fired: bool

    @property
    def missed(self) -> bool:
        """Whether the neuron's activation contradicts the explanation."""
        return self.fired is not self.sentence.fires


def measure(
    sentences: Sequence[Sentence], task: NeuronTask, subject: LiveSubject, *, maximum: float
) -> tuple[MeasuredSentence, ...]:
    """Run the subject on each sentence. The neuron fires if its level reaches ``ACTIVE_LEVEL`` of 10.

    ``maximum`` is the activation that level 10 corresponds to. Raises MethodError if the neuron belongs to another
    subject.
    """
    texts = [sentence.text for sentence in sentences]
    records = same_subject(subject, task).activations(texts, layer=task.layer, index=task.index)
    return tuple(
        MeasuredSentence(sentence, record, fired=int(normalise(record.activations, maximum).max()) >= ACTIVE_LEVEL)
        for sentence, record in zip(sentences, records, strict=True)
    )
