"""The OpenAI-compatible wire format: bodies of requests, and what is read out of replies.

Pure. A reply that is not of the format raises ValueError; it is stored with its raw text as
unparsable. Servers differ in two ways that a provider's options name: how prompt log-probabilities
are asked for (``echo``: vLLM and llama.cpp; ``vllm``: vLLM's own field), and fields they refuse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.language_models import Outcome
from worker.providers.base import ChatRequest, Reply, Request, ScoreTextRequest, TokenAlternatives, Usage

MOST_ALTERNATIVES = 20
"""Top log-probabilities per token; the format's limit."""
RAW_CHARACTERS_KEPT = 20_000
"""Of a reply that is no JSON."""

CHAT_PATH = "/chat/completions"
COMPLETION_PATH = "/completions"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server wants to be spoken to."""

    length_field: str = "max_tokens"
    """Or ``max_completion_tokens``."""
    prompt_logprobs: str = "echo"
    """Or ``vllm``."""
    omit: frozenset[str] = frozenset()
    """Fields that the server refuses."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Dialect":
        """From a provider's stored options."""
        return cls(
            options.get("length_field", "max_tokens"),
            options.get("prompt_logprobs", "echo"),
            frozenset(options.get("omit", ())),
        )


def path_of(request: Request) -> str:
    """Where a request is sent, under the base URL."""
    return CHAT_PATH if isinstance(request, ChatRequest) else COMPLETION_PATH


def body_of(model: str, request: Request, dialect: Dialect) -> dict[str, Any]:
    """The JSON body of a request."""
    body = _chat_body(request, dialect) if isinstance(request, ChatRequest) else _score_body(request, dialect)
    return {"model": model, **{name: value for name, value in body.items() if name not in dialect.omit}}


def _chat_body(request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        dialect.length_field: request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, MOST_ALTERNATIVES)}
    if request.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": dict(request.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _score_body(request: ScoreTextRequest, dialect: Dialect) -> dict[str, Any]:
    # One token is asked for because some servers take 0 for "without limit"; it is not looked at.
    body: dict[str, Any] = {"prompt": request.prefix + request.text, "max_tokens": 1, "temperature": 0.0}
    if dialect.prompt_logprobs == "vllm":
        return body | {"prompt_logprobs": MOST_ALTERNATIVES}
    return body | {"echo": True, "logprobs": MOST_ALTERNATIVES}


def read_json(text: str) -> dict[str, Any]:
    """The JSON object that a body is. Raises ValueError."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("the reply is not a JSON object")
    return value


def reply_of(request: Request, body: Mapping[str, Any]) -> Reply:
    """What a body answers to a request. Raises ValueError where it is not of the format."""
    try:
        choice = body["choices"][0]
        usage = _usage(body.get("usage"))
        if isinstance(request, ChatRequest):
            return _chat_reply(request, choice, _text_or_none(body.get("model")), usage)
        return Reply(Outcome.OK, "", scored_places(request, choice), _text_or_none(body.get("model")), usage)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"the reply lacks a part of the format: {error!r}") from error


def _chat_reply(request: ChatRequest, choice: Mapping[str, Any], model: str | None, usage: Usage | None) -> Reply:
    message, finish = choice["message"], choice.get("finish_reason")
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise ValueError("the reply's content is not a text")
    alternatives = tuple(_chat_token(token) for token in ((choice.get("logprobs") or {}).get("content") or ()))
    if message.get("refusal") or finish == "content_filter":
        reason = message.get("refusal") or "the endpoint's content filter stopped the reply"
        return Reply(Outcome.REFUSED, text, alternatives, model, usage, str(reason))
    if finish == "length" and not (request.top_logprobs and alternatives):
        # One who asks for alternatives wants a few tokens and looks at nothing after them.
        return Reply(Outcome.TRUNCATED, text, alternatives, model, usage, "the reply was cut short")
    return Reply(Outcome.OK, text, alternatives, model, usage)


def _chat_token(token: Mapping[str, Any]) -> TokenAlternatives:
    found = {t["token"]: float(t["logprob"]) for t in token.get("top_logprobs") or ()}
    return TokenAlternatives(token["token"], {token["token"]: float(token["logprob"]), **found})


def _usage(usage: Mapping[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    cached = int(details.get("cached_tokens") or 0)
    return Usage(int(usage.get("prompt_tokens") or 0), cached, int(usage.get("completion_tokens") or 0))


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def scored_places(request: ScoreTextRequest, choice: Mapping[str, Any]) -> tuple[TokenAlternatives, ...]:
    """The alternatives at each place where an answer stands. Raises ValueError where one has no token of its own."""
    tokens, alternatives = _prompt_tokens(choice)
    starts = token_starts(request.prefix + request.text, tokens)
    places = {start: i for i, start in enumerate(starts) if start is not None}
    found = []
    for at in request.answer_at:
        if at not in places:
            raise ValueError(f"the model's tokens have no boundary at character {at}, where an answer stands")
        found.append(TokenAlternatives(tokens[places[at]], alternatives[places[at]]))
    return tuple(found)


def _prompt_tokens(choice: Mapping[str, Any]) -> tuple[list[str], list[Mapping[str, float]]]:
    """Each token of the prompt and its alternatives, out of either form."""
    if choice.get("prompt_logprobs"):
        entries = [list((place or {}).values()) for place in choice["prompt_logprobs"]]
        tokens = [place[0]["decoded_token"] if place else "" for place in entries]
        return tokens, [{e["decoded_token"]: float(e["logprob"]) for e in place} for place in entries]
    logprobs = choice["logprobs"]
    return logprobs["tokens"], [dict(place or {}) for place in logprobs["top_logprobs"]]


def token_starts(text: str, tokens: Sequence[str]) -> list[int | None]:
    """Where each token begins in ``text`` (characters), None where that cannot be told.

    Tokens that are not in the text (a begin-of-text mark, parts of a character) are passed over; the
    count is taken up again at the next tab or line end, which every tokenizer here keeps whole.
    """
    starts: list[int | None] = []
    at, lost = 0, False
    for place, token in enumerate(tokens):
        if lost and token[:1] in ("\t", "\n"):
            at, lost = _found(text, token[0], at), False
        if token and not lost and text.startswith(token, at):
            starts.append(at)
            at += len(token)
        else:
            starts.append(None)
            lost = lost or place > 0  # the first may be a begin mark, after which the text begins
    return starts


def _found(text: str, mark: str, at: int) -> int:
    place = text.find(mark, at)
    return len(text) if place < 0 else place


def kept(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a reply's body that is stored: all of a chat; an echoed prompt without its echo.

    The alternatives at the places of the answers are kept as they were read.
    """
    if isinstance(request, ChatRequest):
        return dict(body)
    choice = {k: v for k, v in body["choices"][0].items() if k not in ("text", "logprobs", "prompt_logprobs")}
    return {**body, "choices": [choice]}
