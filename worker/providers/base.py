"""What every language-model provider offers, hosted or on the worker's own device.

Providers know nothing of neurons: they answer requests, many at a time, and say how each one went.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Capability(StrEnum):
    """What a provider can do; probed once and shown."""

    CHAT = "chat"
    CHAT_LOGPROBS = "chat_logprobs"
    PROMPT_LOGPROBS = "prompt_logprobs"
    JSON_SCHEMA = "json_schema"


class Outcome(StrEnum):
    """How one attempt ended. Only ``OK`` carries a usable text."""

    OK = "ok"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    UNPARSABLE = "unparsable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion. ``step`` names what asks (``explain``, ``simulate/top/3``), unique in a run."""

    step: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    top_logprobs: int | None = None
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ScoreTextRequest:
    """The model's next-token alternatives inside ``text``, at the positions where an answer stands.

    ``answer_at`` are character offsets into ``prefix + text``; the reply holds, for each, the
    log-probabilities of the most likely tokens at that place. ``prefix`` is common to many requests.
    """

    step: str
    prefix: str
    text: str
    answer_at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenAlternatives:
    """The token at one place and the log-probabilities (nats) of its likely alternatives."""

    token: str
    logprobs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; ``tokens_cached`` is the part of ``tokens_in`` that was not computed anew."""

    tokens_in: int
    tokens_cached: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's last word on one request. ``text`` is empty for a scored text."""

    outcome: Outcome
    text: str
    alternatives: tuple[TokenAlternatives, ...]
    model: str | None
    usage: Usage | None
    error: str | None = None


class Provider(Protocol):
    """Answers requests. One reply per request, in order; refusals and bad replies are replies, too.

    Raises ``app.errors.ProviderError``: ``permanent`` for a wrong key, model or request (HTTP 400,
    401, 403, 404), not permanent when the provider is down after bounded retries.
    """

    name: str
    capabilities: frozenset[Capability]

    def chat(self, requests: Sequence[ChatRequest]) -> tuple[Reply, ...]: ...

    def score_texts(self, requests: Sequence[ScoreTextRequest]) -> tuple[Reply, ...]: ...
