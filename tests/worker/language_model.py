"""A language model that answers every prompt of every step, and a memory of its calls like a run's."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.fake_provider import FakeProvider, reply
from tests.worker.raters import by_word
from worker.providers.base import Attempt, ChatRequest, EmbedRequest, Reply, Request, TokenAlternatives
from worker.run.recording import Key, RecordingProvider

TOKENS = re.compile(r" ?\w+|\s|[^\w\s]")
_LENGTH = re.compile(r"(\d+) tokens\.$")
Write = Callable[[ChatRequest], str]
"""What it writes as an explanation."""


def tokens(text: str) -> int:
    """How many tokens a text has, about: words with the space before them, signs, white space."""
    return len(TOKENS.findall(text))


def answering(write: Write, *, fires: str = "cats import tea", silent: str = "cats drink tea") -> FakeProvider:
    """Answers each step as it wants to be answered; ``fires`` and ``silent`` are its test sentences."""

    def chat(request: ChatRequest) -> Reply | str:
        if request.top_logprobs:
            return reply("0", alternatives=(TokenAlternatives("0", {"0": 0.0}),))
        if request.step.startswith("simulate"):
            found = _LENGTH.search(request.messages[-1].content)
            assert found is not None
            return json.dumps({"activations": [0] * int(found[1])})
        if request.step.startswith(("detect", "fuzz")):
            return by_word(request)
        if request.step.startswith("intruder"):
            return json.dumps({"odd": 1})
        if request.step.startswith("sentences"):
            return json.dumps({"fires": [fires] * 6, "silent": [silent] * 6})
        return json.dumps({"explanation": write(request)})

    return FakeProvider(chat)


@dataclass
class Memory:
    """Keeps the calls of one run, so that none that was answered is made again."""

    calls: list[Attempt] = field(default_factory=list)

    def answered(self) -> Mapping[Key, Reply]:
        """Nothing from an earlier execution."""
        return {}

    def allow(self, request: Request) -> None:
        """Every call."""

    def keep(self, attempt: Attempt, digest: str) -> None:
        """Note the call."""
        self.calls.append(attempt)

    @property
    def tokens_in(self) -> int:
        """The tokens of all requests, about."""
        return sum(_read(attempt.request) for attempt in self.calls)

    @property
    def tokens_out(self) -> int:
        """The tokens of all replies, about."""
        return sum(max(1, tokens(attempt.reply.text)) for attempt in self.calls)


def _read(request: Request) -> int:
    if isinstance(request, ChatRequest):
        return sum(tokens(message.content) for message in request.messages)
    if isinstance(request, EmbedRequest):
        return sum(map(tokens, request.texts))
    return tokens(request.prefix + request.text)


def remembered(provider: FakeProvider) -> tuple[RecordingProvider, Memory]:
    """The provider of one run, with the memory of its calls."""
    memory = Memory()
    return RecordingProvider(provider, memory), memory
