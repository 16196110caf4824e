"""One JSON answer per excerpt: an integer for each token. Needs no log-probabilities."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM
from app.domain.arrays import Float32s, Int32s
from app.domain.language_models import Capability
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from worker.method.contracts import Services
from worker.method.prompts import load
from worker.method.prompts.rendering import block
from worker.method.structured_requests import (
    Form,
    StructuredReply,
    StructuredRequest,
    Unusable,
    json_object,
    object_schema,
    request_all,
)
from worker.providers.base import Message, Provider
from worker.simulators.numbers import missing
from worker.simulators.prompting import description, examples, provenance, provider_with, shown, step_of

PROMPT = "simulate_structured"


class Structured:
    """Works with any chat model; one without support for JSON schemas makes more mistakes."""

    name = "structured"
    version = 1

    def __init__(self, provider: Provider, *, temperature: float = 0.0, seed: int = 0) -> None:
        self.provider = provider
        self.temperature, self.seed = temperature, seed

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "Structured":
        """Parameters: ``temperature``, ``seed``. Raises MethodError if the method names no provider."""
        return cls(provider_with(services, Capability.CHAT, cls.name), **parameters)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The prompt's digests."""
        return provenance(load(PROMPT))

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expected activations, integers 0..10. Raises CannotSimulate for an empty text, ProviderError."""
        wanted = description(text)
        questions = [
            self._question(step_of(text, excerpt_id), wanted, [shown(t) for t in vocabulary.raw(ids)])
            for excerpt_id, ids in excerpts
        ]
        found = request_all(self.provider, questions)
        return tuple(
            simulated(excerpt_id, len(ids), answer) for (excerpt_id, ids), answer in zip(excerpts, found, strict=True)
        )

    def _question(self, step: str, wanted: str, tokens: Sequence[str]) -> StructuredRequest[Float32s]:
        return StructuredRequest(
            step=step,
            messages=(*opening(), Message("user", body(wanted, tokens))),
            form=form_of(len(tokens)),
            max_tokens=40 + 6 * len(tokens),  # a number, a comma, a space; white space of models that indent
            temperature=self.temperature,
            seed=self.seed,
        )


def simulated(excerpt_id: int, length: int, answer: StructuredReply[Float32s]) -> SimulatedExcerpt:
    """The expected activations of an answer; missing, with the reason, if there is none."""
    if answer.value is None:
        return missing(excerpt_id, length, answer.failure or "no answer")
    return SimulatedExcerpt(excerpt_id, length, answer.value)


def form_of(length: int) -> Form[Float32s]:
    """The form of an answer for ``length`` tokens."""
    numbers = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": NORMALISED_MAXIMUM},
        "minItems": length,
        "maxItems": length,
    }
    return Form("structured/1", object_schema(activations=numbers), partial(read, length=length))


def read(reply: str, *, length: int) -> Float32s:
    """The numbers of a reply [length]. Raises Unusable for other lengths, other ranges, other things."""
    values = json_object(reply, frozenset({"activations"}))["activations"]
    if not isinstance(values, list) or any(type(v) is not int for v in values):
        raise Unusable("the activations are not a list of whole numbers")
    if len(values) != length:
        raise Unusable(f"the reply has {len(values)} numbers for {length} tokens")
    if any(not 0 <= v <= NORMALISED_MAXIMUM for v in values):
        raise Unusable("a number is not within 0..10")
    return np.array(values, dtype=np.float32)


def body(wanted: str, tokens: Sequence[str]) -> str:
    """The description, and the tokens (as shown) with their positions."""
    lines = "\n".join(f"{position}\t{token}" for position, token in enumerate(tokens, 1))
    return "\n".join([block("fires on", wanted), block("text", lines), f"{len(tokens)} tokens."])


@lru_cache
def opening() -> tuple[Message, ...]:
    """Instructions and worked examples, the same for every request."""
    return (Message("system", load(PROMPT).text), *_examples())


def _examples() -> Iterator[Message]:
    for example in examples():
        excerpt = example.excerpts[0]
        yield Message("user", body(example.explanation, [shown(token.encode()) for token, _ in excerpt]))
        yield Message("assistant", json.dumps({"activations": [level for _, level in excerpt]}))
