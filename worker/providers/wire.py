"""Encoder of requests in OpenAI's wire format: their bodies, in the dialect of a server.

Pure functions. ``worker.providers.reading`` parses the replies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.addresses import CHAT_PATH, COMPLETION_PATH, EMBEDDING_PATH
from worker.providers.base import ChatRequest, EmbedRequest, Message, Request, ScoreTextRequest

MOST_ALTERNATIVES = 20
"""Top log-probabilities per token that the format allows."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The variant of the format that a server accepts, as found by a probe."""

    length_field: str = "max_tokens"
    """``max_tokens`` or ``max_completion_tokens``."""
    prompt_logprobs: str = "echo"
    """Or ``vllm``: vLLM's own field."""
    omit: frozenset[str] = frozenset()
    """Fields that the server refuses."""
    system: str = "role"
    """``role``: instructions are a message of their own; ``fold``: they begin the first user message."""
    chat_alternatives: int = MOST_ALTERNATIVES
    """Highest accepted ``top_logprobs`` per token of a chat's reply."""
    prompt_alternatives: int = MOST_ALTERNATIVES
    """Highest accepted ``logprobs`` per token of a prompt."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Dialect":
        """The dialect in a provider's stored options; missing or invalid ones have their default."""
        return cls(
            _word(options, "length_field", ("max_tokens", "max_completion_tokens")),
            _word(options, "prompt_logprobs", ("echo", "vllm")),
            frozenset(name for name in _listed(options.get("omit")) if isinstance(name, str)),
            _word(options, "system", ("role", "fold")),
            _count(options, "chat_alternatives"),
            _count(options, "prompt_alternatives"),
        )

    @property
    def options(self) -> dict[str, Any]:
        """The options that differ from the default, to be stored with the provider."""
        usual = Dialect()
        found = {
            name: getattr(self, name)
            for name in ("length_field", "prompt_logprobs", "system", "chat_alternatives", "prompt_alternatives")
            if getattr(self, name) != getattr(usual, name)
        }
        return found | ({"omit": sorted(self.omit)} if self.omit else {})


OPTION_NAMES = ("length_field", "prompt_logprobs", "omit", "system", "chat_alternatives", "prompt_alternatives")
"""The options of a provider that ``Dialect`` reads."""


def _word(options: Mapping[str, Any], name: str, words: tuple[str, str]) -> str:
    return words[1] if options.get(name) == words[1] else words[0]


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def _count(options: Mapping[str, Any], name: str) -> int:
    value = options.get(name)
    return value if isinstance(value, int) and 1 <= value <= MOST_ALTERNATIVES else MOST_ALTERNATIVES


def path_of(request: Request) -> str:
    """The path of a request below the base URL."""
    if isinstance(request, EmbedRequest):
        return EMBEDDING_PATH
    return CHAT_PATH if isinstance(request, ChatRequest) else COMPLETION_PATH


def body_of(model: str, request: Request, dialect: Dialect) -> dict[str, Any]:
    """The JSON body of a request."""
    if isinstance(request, EmbedRequest):
        return {"model": request.model, "input": list(request.texts)}
    body = _chat_body(request, dialect) if isinstance(request, ChatRequest) else _score_body(request, dialect)
    return {"model": model, **{name: value for name, value in body.items() if name not in dialect.omit}}


def _chat_body(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    messages = folded(request.messages) if dialect.system == "fold" else request.messages
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        dialect.length_field: request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, dialect.chat_alternatives)}
    if request.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": dict(request.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with the instructions at the beginning of the first user message, for models without a system role.

    Roles alternate as before: such models' templates refuse two messages of one role in a row.
    """
    instructions = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    if not instructions:
        return tuple(rest)
    if not rest or rest[0].role != "user":
        return (Message("user", instructions), *rest)
    return (Message("user", f"{instructions}\n\n{rest[0].content}"), *rest[1:])


def _score_body(request: ScoreTextRequest, dialect: Dialect) -> dict[str, Any]:
    # One token is requested because some servers treat 0 as "no limit"; it is ignored.
    body: dict[str, Any] = {"prompt": request.prefix + request.text, "max_tokens": 1, "temperature": 0.0}
    if dialect.prompt_logprobs == "vllm":
        return body | {"prompt_logprobs": dialect.prompt_alternatives}
    return body | {"echo": True, "logprobs": dialect.prompt_alternatives}
