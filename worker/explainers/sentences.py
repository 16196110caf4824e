"""Sentences that a language model writes to test an explanation."""

from dataclasses import dataclass

from worker.method.asking import Answer, Form, Question, Unusable, ask, json_object, object_schema, one_line
from worker.method.prompts import load
from worker.method.prompts.rendering import block, escape
from worker.providers.base import Message, Provider

LONGEST_SENTENCE = 300
"""Characters."""
TOKENS_PER_SENTENCE = 60


@dataclass(frozen=True, slots=True)
class Sentence:
    """A test sentence; ``fires`` is what the explanation says that the neuron does on it."""

    text: str
    fires: bool


def write_sentences(
    provider: Provider, text: str, *, n: int, seed: int, max_tokens: int
) -> Answer[tuple[Sentence, ...]]:
    """``n`` sentences on which the neuron should fire and ``n`` on which it should not.

    In pairs of pairs, so that every second sentence is of both sorts alike: fires, fires, silent,
    silent, ... Raises ProviderError as the provider does.
    """
    messages = (
        Message("system", load("write_sentences").fill(n=n)),
        Message("user", block("claim", escape(text))),
    )
    question = Question(
        step="sentences",
        messages=messages,
        form=_form(n),
        max_tokens=max_tokens + TOKENS_PER_SENTENCE * 2 * n,
        temperature=0.7,
        seed=seed,
    )
    return ask(provider, [question])[0]


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
