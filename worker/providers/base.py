"""The interface of every language-model provider, hosted or on the worker's own device.

Providers are independent of neurons: they send requests, many at a time, and return the outcome of each.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from app.domain.language_models import ATTEMPTS, Capability, Outcome


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TokenAlternatives:
    """The token at one position and the log-probabilities (nats, at most 0) of the likely tokens there."""

    token: str
    logprobs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; ``tokens_cached`` is the part of ``tokens_in`` that was read from the endpoint's cache."""

    tokens_in: int
    tokens_cached: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's final reply to one request. ``text`` is the answer, empty for a scored text."""

    outcome: Outcome
    text: str
    alternatives: tuple[TokenAlternatives, ...]
    model: str | None
    usage: Usage | None
    error: str | None = None
    reasoning: str = ""
    """The model's reasoning before its answer. Stored, never parsed."""
    vectors: tuple[tuple[float, ...], ...] = ()
    """The embeddings of an ``EmbedRequest``, one per text. Not stored with the call: see ``app.queries.embeddings``."""


class Parser(Protocol):
    """Decides whether a reply can be used. An unusable one is stored as failed, and the request is sent again."""

    @property
    def version(self) -> str:
        """Name and version, e.g. ``structured/1``."""
        ...

    def check(self, reply: Reply) -> None:
        """Raises ValueError, with the reason, if the reply cannot be used."""
        ...


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion. ``step`` names its purpose (``explain``, ``simulate/top/3``), unique in a run."""

    step: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    top_logprobs: int | None = None
    json_schema: Mapping[str, Any] | None = None
    parser: Parser | None = None


@dataclass(frozen=True, slots=True)
class ScoreTextRequest:
    """The model's next-token alternatives inside ``text``, at the positions where answers are expected.

    ``answer_at`` are character offsets into ``prefix + text``; the reply has the log-probabilities of the most likely
    tokens at each. ``prefix`` is common to many requests. ``answers`` are the tokens whose log-probabilities are
    wanted: a local model returns exactly these, an endpoint its own most likely tokens.
    """

    step: str
    prefix: str
    text: str
    answer_at: tuple[int, ...]
    answers: tuple[str, ...] = ()
    parser: Parser | None = None


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """The embeddings of some texts by ``model``, which may differ from the provider's own."""

    step: str
    model: str
    texts: tuple[str, ...]
    parser: Parser | None = None


TextRequest = ChatRequest | ScoreTextRequest
Request = TextRequest | EmbedRequest


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as sent and its result, to be stored at once.

    ``wire`` is the request's body. ``raw`` is the reply's body, or its first part if it was not JSON; None without a
    reply.
    """

    request: Request
    wire: Mapping[str, Any]
    raw: Mapping[str, Any] | None
    reply: Reply
    number: int
    latency_seconds: float


Observer = Callable[[Attempt], None]


def ignore(_attempt: Attempt) -> None:
    """An observer that stores nothing."""


def never_full(_request: Request) -> None:
    """A check that every request passes."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A caller's hooks around every attempt: ``before`` may refuse it by raising, ``after`` stores it."""

    before: Callable[[Request], None] = field(default=never_full)
    after: Observer = field(default=ignore)


UNWATCHED = Watch()


class Provider(Protocol):
    """Sends requests. One reply per request, in order; refusals and bad replies are replies, too.

    Raises ``app.errors.ProviderError``: ``permanent`` if no request can succeed (key, model, quota, a refused field),
    temporary if the provider is still down after a limited number of retries.
    """

    name: str
    model: str
    capabilities: frozenset[Capability]

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch = ...) -> tuple[Reply, ...]: ...

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch = ...) -> tuple[Reply, ...]: ...


def request_digest(provider: str, model: str, request: Request) -> str:
    """The identity of a request to one model: hexadecimal SHA-256 over everything that could change the reply.

    ``step`` is not included.
    """
    parts: dict[str, Any] = {"provider": provider, "model": model}
    if isinstance(request, ChatRequest):
        parts |= {
            "messages": [[m.role, m.content] for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "top_logprobs": request.top_logprobs,
            "json_schema": request.json_schema,
        }
    elif isinstance(request, EmbedRequest):
        parts |= {"model": request.model, "texts": request.texts}
    else:
        parts |= {
            "prefix": request.prefix,
            "text": request.text,
            "answer_at": request.answer_at,
            "answers": request.answers,
        }
    parts["parser"] = request.parser.version if request.parser else None
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def judged(request: Request, reply: Reply) -> Reply:
    """The reply, changed to ``UNPARSABLE`` with the reason if the request's parser cannot use it."""
    if request.parser is None or reply.outcome is not Outcome.OK:
        return reply
    try:
        request.parser.check(reply)
    except ValueError as error:
        return replace(reply, outcome=Outcome.UNPARSABLE, error=str(error))
    return reply


def chat_until_usable(
    provider: Provider, requests: Sequence[ChatRequest], *, attempts: int = ATTEMPTS, temperature: float = 0.7
) -> tuple[Reply, ...]:
    """One reply per request; a refused, truncated or unusable one is requested again, with another seed.

    A further attempt has another seed and at least ``temperature``: an identical request would get an identical reply.
    A request without a usable reply after ``attempts`` keeps its last outcome; one that has ``FAILED`` is not sent
    again. Raises ProviderError.
    """
    replies: list[Reply | None] = [None] * len(requests)
    indices = list(range(len(requests)))
    for attempt in range(attempts):
        batch = [requests[i] if attempt == 0 else _again(requests[i], attempt, temperature) for i in indices]
        for i, request, reply in zip(indices, batch, provider.chat(batch), strict=True):
            replies[i] = judged(request, reply)
        indices = [i for i in indices if (r := replies[i]) is not None and r.outcome not in SETTLED]
        if not indices:
            break
    return tuple(reply for reply in replies if reply is not None)


SETTLED = (Outcome.OK, Outcome.FAILED)
"""Outcomes that another attempt would not change."""


def _again(request: ChatRequest, attempt: int, temperature: float) -> ChatRequest:
    return replace(
        request,
        step=f"{request.step}/retry/{attempt}",
        seed=(request.seed or 0) + attempt,
        temperature=max(request.temperature, temperature),
    )
