"""Parser of replies in OpenAI's wire format: from bytes to an answer.

Pure functions. Strict about the answer, lenient about everything else: a malformed token count or name is unknown, and
never discards an answer. A body without an answer raises Unreadable, whose message describes the body.
"""

import json
from collections.abc import Mapping
from typing import Any

from app.domain.language_models import Outcome
from app.domain.storable import storable_text
from worker.providers.base import (
    ChatRequest,
    EmbedRequest,
    Reply,
    Request,
    Usage,
)
from worker.providers.error_reports import one_line, title_of_page
from worker.providers.reading_alternatives import LONGEST_NAME, Unreadable, chat_alternatives, scored_tokens
from worker.providers.reading_embeddings import NoEmbedding, embeddings_in
from worker.providers.reasoning import CUT_SHORT, CUT_SHORT_IN_REASONING, parted

RAW_CHARACTERS_KEPT = 20_000
"""Characters kept of a reply that is not JSON."""
MOST_CONTAINERS = 1_000_000
"""Lists and objects in a body; more would take gigabytes once parsed."""
MOST_LEVELS = 100
TOO_DEEP = "the reply is JSON that is nested too deeply"
MOST_TOKENS = 10_000_000
"""Tokens of one call; a larger count is invalid."""
_FILTERED = frozenset({"content_filter", "safety", "prohibited_content", "blocklist", "recitation", "sensitive"})
_CUT_SHORT = frozenset({"length", "max_tokens", "max_output_tokens"})
_SHOWN_CHARACTERS = 80


def text_of(content: bytes) -> str:
    """A body's text. Invalid UTF-8 becomes U+FFFD, so that one bad byte does not cost an answer."""
    return content.decode("utf-8-sig", "replace")


def read_json(text: str, content_type: str = "", *, shown: str | None = None) -> Any:
    """The JSON value of a body. Raises Unreadable, with a description of the body.

    ``shown`` is the text without secrets, from which the description quotes: a quotation may end within a key, which
    could then no longer be recognised.
    """
    shown = text if shown is None else shown
    if not text.strip():
        raise Unreadable("the reply is empty: it has no body")
    if content_type.startswith("text/event-stream") or text.startswith(("data:", "event:", ": ")):
        raise Unreadable("the reply is an event stream, although none was requested")
    if (title := title_of_page(shown)) is not None:
        raise Unreadable(f"the reply is a web page{title}, not JSON (check the base URL)")
    if text.count("[") + text.count("{") > MOST_CONTAINERS:
        raise Unreadable(f"the reply has more than {MOST_CONTAINERS} lists and objects")
    try:
        value = json.loads(text, parse_constant=float)  # NaN and infinity are not JSON, but some servers write them
    except RecursionError:
        raise Unreadable(TOO_DEEP) from None
    except json.JSONDecodeError as error:
        if breaks_off(error):
            raise Unreadable(f"the reply is JSON that breaks off after {len(text)} characters") from None
        raise Unreadable(f"the reply is not JSON, it begins with {shown.strip()[:_SHOWN_CHARACTERS]!r}") from None
    except ValueError as error:  # a number of thousands of digits
        raise Unreadable(f"the reply is not usable JSON: {error}") from None
    if _is_deep(value):
        raise Unreadable(TOO_DEEP)
    return value


def breaks_off(error: json.JSONDecodeError) -> bool:
    """Whether the error is that the text ends before its object or list does."""
    begins = error.doc.lstrip()[:1] in ("{", "[")
    return begins and (error.pos >= len(error.doc.rstrip()) - 1 or error.msg.startswith("Unterminated string"))


def _is_deep(value: object) -> bool:
    """Whether lists and objects are nested deeper than in any reply. Not recursive: depth would exhaust the stack."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inner = (part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list))
        level = [part for parts in inner for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def reply_of(request: Request, body: object) -> Reply:
    """The reply that a body contains. Raises Unreadable if it is malformed."""
    if not isinstance(body, Mapping):
        raise Unreadable(f"the reply is {_kind(body)}, not a JSON object")
    if isinstance(request, EmbedRequest):
        return _embedding_reply(request, body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        names = ", ".join(str(name)[:20] for name in list(body)[:8]) or "nothing"
        raise Unreadable(f"the reply is JSON without choices: it holds {names}")
    model, usage = _name_or_none(body.get("model")), usage_of(body.get("usage"))
    if isinstance(request, ChatRequest):
        return _chat_reply(request, choices[0], model, usage)
    return Reply(Outcome.OK, "", scored_tokens(request, choices[0]), model, usage)


def _embedding_reply(request: EmbedRequest, body: Mapping[str, Any]) -> Reply:
    try:
        vectors = embeddings_in(body, n=len(request.texts))
    except NoEmbedding as error:
        raise Unreadable(str(error)) from error
    usage = body.get("usage")
    if isinstance(usage, Mapping):
        usage = {"completion_tokens": 0, **usage}  # embeddings have no output tokens, and not every server reports that
    return Reply(Outcome.OK, "", (), _name_or_none(body.get("model")), usage_of(usage), vectors=vectors)


def _kind(value: object) -> str:
    return {list: "a JSON list", str: "a JSON string", type(None): "null"}.get(type(value), "a JSON number or word")


def _chat_reply(request: ChatRequest, choice: Mapping[str, Any], model: str | None, usage: Usage | None) -> Reply:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise Unreadable("the reply's first choice has no message")
    given, reasoning = _contents(message)
    thinking = parted(given)
    reasoning += thinking.reasoning
    if usage is not None and not usage.tokens_out and (thinking.answer or reasoning):
        usage = None  # a server that does not count what it writes
    finish = (_name_or_none(choice.get("finish_reason")) or "").lower()
    alternatives = chat_alternatives(request, choice.get("logprobs"))

    def reply(outcome: Outcome, error: str | None = None) -> Reply:
        return Reply(outcome, thinking.answer, alternatives, model, usage, error, reasoning)

    refusal = message.get("refusal")
    if refusal or finish in _FILTERED:
        words = one_line(refusal) if isinstance(refusal, str) else "the endpoint's content filter stopped the reply"
        return reply(Outcome.REFUSED, words or "the model refused without a word")
    if request.top_logprobs and alternatives:
        # a request for alternatives needs only a few tokens, and nothing after them
        return reply(Outcome.OK)
    if thinking.is_open:
        return reply(Outcome.TRUNCATED, CUT_SHORT_IN_REASONING)
    if finish in _CUT_SHORT:
        return reply(Outcome.TRUNCATED, CUT_SHORT)
    if not thinking.answer.strip():
        return reply(Outcome.UNPARSABLE, _why_empty(message, finish, has_reasoning=bool(reasoning.strip())))
    return reply(Outcome.OK)


def _contents(message: Mapping[str, Any]) -> tuple[str, str]:
    """A message's text, and the reasoning if the server separates it. Raises Unreadable for other contents."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts: list[object] = []
    reasoning: list[object] = [message.get(name) for name in ("reasoning_content", "reasoning", "thinking")]
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            is_reasoning = part.get("type") in ("thinking", "reasoning")
            (reasoning if is_reasoning else texts).append(part.get("text") or part.get("thinking"))
        elif part is not None:
            raise Unreadable(f"the reply's content is {_kind(part)}, not a text")
    return "".join(t for t in texts if isinstance(t, str)), "".join(t for t in reasoning if isinstance(t, str))


def _why_empty(message: Mapping[str, Any], finish: str, *, has_reasoning: bool) -> str:
    calls = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if calls and isinstance(calls, list):
        function = calls[0].get("function", calls[0]) if isinstance(calls[0], Mapping) else {}
        name = _name_or_none(function.get("name")) if isinstance(function, Mapping) else None
        return f"the model called a tool ({name or 'without a name'}) instead of giving an answer"
    if has_reasoning:
        return "the reply holds the model's reasoning and no answer"
    return f"the reply is empty (finish reason: {finish or 'none'})"


def _name_or_none(value: object) -> str | None:
    """A name in storable form; None for other values."""
    return storable_text(value[:LONGEST_NAME]) if isinstance(value, str) else None


def usage_of(usage: object) -> Usage | None:
    """Token counts in the spellings that servers use; None unless both what went in and what came out is known.

    No request is without tokens: a server that counts none of it does not count.
    """
    if not isinstance(usage, Mapping):
        return None
    tokens_in = _first_count(usage, "prompt_tokens", "input_tokens")
    tokens_out = _first_count(usage, "completion_tokens", "output_tokens")
    total = _first_count(usage, "total_tokens")
    if tokens_in is None and tokens_out is not None and total is not None and total >= tokens_out:
        tokens_in = total - tokens_out
    if tokens_out is None and tokens_in is not None and total is not None and total >= tokens_in:
        tokens_out = total - tokens_in
    if not tokens_in or tokens_out is None:
        return None
    cached = _first_count(usage, "prompt_cache_hit_tokens")
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = usage.get(name)
        if cached is None and isinstance(details, Mapping):
            cached = _first_count(details, "cached_tokens")
    return Usage(tokens_in, min(cached or 0, tokens_in), tokens_out)


def _first_count(counts: Mapping[str, Any], *names: str) -> int | None:
    return next((n for name in names if (n := count_of(counts.get(name))) is not None), None)


def count_of(value: object) -> int | None:
    """A count of tokens, also as text or with a fraction of 0; None for other values."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def kept(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a reply's body that is stored: all of a chat; an echoed prompt without its echo; no embeddings.

    The alternatives at the answers' positions are stored as parsed.
    """
    if isinstance(request, EmbedRequest):
        return {name: value for name, value in body.items() if name != "data"}
    choices = body.get("choices")
    if isinstance(request, ChatRequest) or not isinstance(choices, list) or not choices:
        return dict(body)
    first = choices[0] if isinstance(choices[0], Mapping) else {}
    choice = {k: v for k, v in first.items() if k not in ("text", "logprobs", "prompt_logprobs")}
    return {**body, "choices": [choice]}
