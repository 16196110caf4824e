"""Questions to a language model whose answers must be of a strict form.

A reply that is refused, cut short or not of the form is never an answer. It is a failed attempt, kept
with its raw text by whoever watches the provider, and asked for again within a bound.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.domain.language_models import Capability, Outcome
from worker.providers.base import ChatRequest, Message, Provider, Reply, chat_until_usable

T = TypeVar("T")

LONGEST_REPLY = 20_000
"""Characters; what is longer is not read."""


class Unusable(ValueError):
    """The reply is not of the form that was asked for."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """The form of an answer: what a provider may hold the model to, and what a reply is read by.

    ``read`` turns a reply's text into the answer or raises Unusable. As a request's parser it lets
    a bad reply be stored as failed and asked for again.
    """

    version: str
    schema: Mapping[str, Any]
    read: Callable[[str], T]

    def check(self, reply: Reply) -> None:
        """Raises Unusable where the reply cannot be read."""
        self.read(reply.text)


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """One chat whose reply must be of a form."""

    step: str
    messages: tuple[Message, ...]
    form: Form[T]
    max_tokens: int = 400
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a question came to: a value, or the reason why there is none."""

    value: T | None
    model: str | None
    failure: str | None = None


def ask(provider: Provider, questions: Sequence[Question[T]]) -> tuple[Answer[T], ...]:
    """One answer per question, in order, all asked at once; bad replies are asked for again, within a bound.

    Raises ProviderError where the provider does.
    """
    replies = chat_until_usable(provider, [_request(provider, question) for question in questions])
    return tuple(_answer(question, reply) for question, reply in zip(questions, replies, strict=True))


def _request(provider: Provider, question: Question[T]) -> ChatRequest:
    return ChatRequest(
        step=question.step,
        messages=question.messages,
        max_tokens=question.max_tokens,
        temperature=question.temperature,
        seed=question.seed,
        json_schema=question.form.schema if Capability.JSON_SCHEMA in provider.capabilities else None,
        parser=question.form,
    )


def _answer(question: Question[T], reply: Reply) -> Answer[T]:
    if reply.outcome is not Outcome.OK:
        return Answer(None, reply.model, reply.error or f"the reply is {reply.outcome}")
    try:
        return Answer(question.form.read(reply.text), reply.model)
    except Unusable as error:
        return Answer(None, reply.model, str(error))


def json_object(text: str, keys: frozenset[str]) -> dict[str, Any]:
    """The one JSON object that ``text`` is, with exactly these keys. Raises Unusable.

    A code fence around the whole is allowed, as some models cannot be kept from it; words are not.
    """
    if len(text) > LONGEST_REPLY:
        raise Unusable(f"the reply has {len(text)} characters")
    body = text.strip()
    if body.startswith("```") and body.endswith("```"):
        body = body.removeprefix("```").removeprefix("json").removesuffix("```")
    try:
        value = json.loads(body, object_pairs_hook=_without_repeats)
    except Unusable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unusable("the reply is not JSON") from error
    if not isinstance(value, dict):
        raise Unusable("the reply is not a JSON object")
    if set(value) != keys:
        raise Unusable(f"the reply has the keys {sorted(value)}, not {sorted(keys)}")
    return value


def _without_repeats(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise Unusable("the reply names a key twice")
    return found


def object_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def one_line(value: object, *, longest: int, forbidden: str = "") -> str:
    """A text value on one line, white space folded. Raises Unusable where it is empty, over-long or odd."""
    if not isinstance(value, str):
        raise Unusable(f"a text was expected, not {type(value).__name__}")
    text = " ".join(value.split())
    if not text:
        raise Unusable("the text is empty")
    if len(text) > longest:
        raise Unusable(f"the text has {len(text)} characters, more than {longest}")
    if not text.isprintable() or any(character in forbidden for character in text):
        raise Unusable("the text holds control characters or delimiters of the prompt")
    return text
