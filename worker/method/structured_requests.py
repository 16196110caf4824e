"""Requests to a language model whose replies must have a strict format.

A reply that is refused, truncated or malformed has no value. It is a failed attempt, whose raw text the provider's
observer stores, and the request is repeated a limited number of times.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.domain.language_models import Capability, Outcome
from worker.providers.base import ChatRequest, Message, Provider, Reply, chat_until_usable
from worker.providers.reading import breaks_off

T = TypeVar("T")

LONGEST_REPLY = 20_000
"""Characters of a reply; a longer reply is not parsed."""
SHOWN_CHARACTERS = 60
"""Characters of a reply that are quoted in the reason why it cannot be used."""


class Unusable(ValueError):
    """The reply does not have the requested form."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """The form of a reply: a schema for providers that enforce one, and the parser of the reply's text.

    ``read`` returns the value of a reply's text or raises Unusable. As a request's parser it makes
    a bad reply a failed attempt, so that the request is repeated.
    """

    version: str
    schema: Mapping[str, Any]
    read: Callable[[str], T]

    def check(self, reply: Reply) -> None:
        """Raises Unusable if the reply cannot be parsed."""
        self.read(reply.text)


@dataclass(frozen=True, slots=True)
class StructuredRequest(Generic[T]):
    """One chat whose reply must have a format."""

    step: str
    messages: tuple[Message, ...]
    form: Form[T]
    max_tokens: int = 400
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class StructuredReply(Generic[T]):
    """The result of a request: a value, or the reason why there is none."""

    value: T | None
    model: str | None
    failure: str | None = None


def request_all(provider: Provider, requests: Sequence[StructuredRequest[T]]) -> tuple[StructuredReply[T], ...]:
    """One result per request, in order, all sent at once; requests with bad replies are repeated a few times.

    Raises ProviderError like the provider.
    """
    replies = chat_until_usable(provider, [_request(provider, request) for request in requests])
    return tuple(_reply(request, reply) for request, reply in zip(requests, replies, strict=True))


def _request(provider: Provider, request: StructuredRequest[T]) -> ChatRequest:
    return ChatRequest(
        step=request.step,
        messages=request.messages,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        seed=request.seed,
        json_schema=request.form.schema if Capability.JSON_SCHEMA in provider.capabilities else None,
        parser=request.form,
    )


def _reply(request: StructuredRequest[T], reply: Reply) -> StructuredReply[T]:
    if reply.outcome is not Outcome.OK:
        return StructuredReply(None, reply.model, reply.error or f"the reply is {reply.outcome}")
    # With outcome OK, the format has already been parsed.
    return StructuredReply(request.form.read(reply.text), reply.model)


def json_object(text: str, keys: frozenset[str]) -> dict[str, Any]:
    """The one JSON object that ``text`` is, with exactly these keys. Raises Unusable.

    A code fence around the object is allowed, because some models always write one; other text is not.
    """
    if len(text) > LONGEST_REPLY:
        raise Unusable(f"the reply has {len(text)} characters")
    body = text.strip()
    if body.startswith("```") and body.endswith("```"):
        body = body.removeprefix("```").removeprefix("json").removesuffix("```").strip()
    value = _parsed(_ESCAPE.sub(_as_json_escape, body))
    if not isinstance(value, dict):
        raise Unusable("the reply is not a JSON object")
    if set(value) != keys:
        raise Unusable(f"the reply has the keys {sorted(value)}, not {sorted(keys)}")
    return value


def _parsed(body: str) -> Any:
    if not body:
        raise Unusable("the reply is empty")
    try:
        # Not strict: a line break inside a string should not cost another request.
        return json.loads(body, object_pairs_hook=_without_repeats, strict=False)
    except Unusable:
        raise
    except json.JSONDecodeError as error:
        if breaks_off(error):
            raise Unusable("the reply is not JSON: it breaks off in the middle") from error
        raise Unusable(f"the reply is not JSON: it begins with {body[:SHOWN_CHARACTERS]!r}") from error
    except (ValueError, RecursionError) as error:
        raise Unusable("the reply is not JSON that can be used") from error


_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.|$)", re.DOTALL)
LONGEST_COMMAND = 12
_COMMAND = re.compile(
    r"(?:abla|eq|ewcommand|ewline|ext[a-z]*|heta|au|imes|ilde|riangle|ight[a-z]*|ho|angle|enewcommand)(?![a-z])"
)
"""Letters that follow the first letter of a LaTeX command that begins with n, t or r."""
_QUOTES = frozenset("\"'`“”‘’«»„")


def _as_json_escape(match: re.Match[str]) -> str:
    r"""An escape of a reply as the JSON escape that the model meant.

    Prompts show bytes as ``\xe2`` and a line break as ``
    ``, and models quote them as shown. JSON has no ``\x``, and would
    read ``"
    "`` as a line break and ``\begin`` as a backspace.
    """
    escape, text = match[0], match.string
    kind = escape[1:2]
    if kind == "'":
        return "'"
    if kind in '"\\/' or len(escape) > 2:
        return escape
    if kind in "nrt" and not _is_spelled_out(
        text[match.start() - 1 : match.start()], text[match.end() :][:LONGEST_COMMAND]
    ):
        return escape
    return "\\" + escape


def _is_spelled_out(before: str, after: str) -> bool:
    r"""Whether ``
    `` or ``\t`` is quoted literally (``'
    '``) or begins a LaTeX command (``\theta``).
    """
    if before in _QUOTES and after.lstrip("\\")[:1] in _QUOTES:
        return True
    return not before.isalnum() and _COMMAND.match(after) is not None


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
    """A text value on one line, white space folded. Raises Unusable if empty, over-long or with forbidden characters.

    Joiners, direction marks and variation selectors are part of words and emoji. Control characters, and characters
    that reorder or hide what follows them, are refused.
    """
    if not isinstance(value, str):
        raise Unusable(f"a text was expected, not {type(value).__name__}")
    text = " ".join(value.split())
    if not text:
        raise Unusable("the text is empty")
    if len(text) > longest:
        raise Unusable(f"the text has {len(text)} characters, more than {longest}")
    if any(_is_refused(character) for character in _FLAG.sub("", text)):
        raise Unusable("the text holds control characters, or characters that reorder or hide text")
    if any(character in forbidden for character in text):
        raise Unusable("the text holds delimiters of the prompt")
    return text


_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{1,8}\U000e007f")
"""A flag of a region (Scotland), made of tag characters, which elsewhere hide text."""
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = (
    range(0x206A, 0x2070),  # deprecated format characters
    range(0xFFF9, 0xFFFC),  # interlinear annotation
    range(0xE0000, 0xE0080),  # tags
)


def _is_refused(character: str) -> bool:
    code = ord(character)
    if unicodedata.category(character) in ("Cc", "Cs") or character in _REORDERING:
        return True
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return is_noncharacter or any(code in block for block in _INVISIBLE)
