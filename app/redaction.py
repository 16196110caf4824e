"""Values that may never be stored, logged or shown, and their removal from texts.

Code that reads a key calls ``keep_secret``; everything that leaves the process (a row, a log line, a message) goes
through ``redacted``. Redaction is by value, so that it does not matter which library wrote the text.
"""

import base64
import html
import json
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

REPLACEMENT = "[key]"
SHORTEST = 4
"""Characters. Shorter keys are placeholders (``x``) for endpoints that want none; removing them would tear words."""
SHORTEST_DISTINCTIVE = 8
SHORTEST_DISTINCTIVE_WORD = 16
"""Characters from which on a key, or one of letters alone, cannot be an ordinary word (``none``, ``ollama``)."""


class _Forms:
    """The encodings in which some secrets may be written, and a pattern that finds them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        matching = {form: _matching(form, anywhere=is_distinctive(s)) for s in secrets for form in _forms(s)}
        self._forms = sorted(matching, key=len, reverse=True)
        self._folded = sorted({form.casefold() for form in matching})
        self._pattern = re.compile("|".join(matching[form] for form in self._forms))

    def removed_from(self, text: str) -> str:
        return self._pattern.sub(REPLACEMENT, text) if self._may_be_in(text) else text

    def removed_from_json(self, value: Any) -> Any:
        text = json.dumps(value, ensure_ascii=False, default=str)
        return self._walked(value) if self._may_be_in(text) else value

    def _may_be_in(self, text: str) -> bool:
        # The search for plain texts first: a pattern of many alternatives takes seconds for a megabyte.
        folded = text.casefold()
        return any(form in folded for form in self._folded)

    def _walked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.removed_from(value)
        if isinstance(value, Mapping):
            return {self._walked(k): self._walked(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._walked(v) for v in value]
        return value


class Secrets:
    """Values to remove from texts. Safe to use from several threads.

    Distinctive ones are removed anywhere, in upper or lower case, in base64 and in hexadecimal too. Endpoints without
    keys are configured with words such as ``EMPTY``: these are removed where they are whole words, and not at all where
    a caller passes ``words=False``, because an answer may be about that very word.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._all = self._distinctive = _Forms(())

    def keep(self, value: str) -> None:
        """Remove ``value`` from all texts from now on."""
        values = {text for text in (value, value.strip()) if len(text) >= SHORTEST}
        if values <= self._values:
            return
        with self._lock:
            self._values |= values
            self._all = _Forms(self._values)
            self._distinctive = _Forms(filter(is_distinctive, self._values))

    def redacted(self, text: str) -> str:
        """``text`` with every value replaced by ``[key]``."""
        return self._all.removed_from(text)

    def redacted_json(self, value: Any, *, words: bool = True) -> Any:
        """A JSON value with every value replaced in its strings, names of fields included."""
        return (self._all if words else self._distinctive).removed_from_json(value)


def is_distinctive(secret: str) -> bool:
    """Whether a text that contains ``secret`` must have it from the key."""
    return len(secret) >= (SHORTEST_DISTINCTIVE_WORD if secret.isalpha() else SHORTEST_DISTINCTIVE)


def _matching(form: str, *, anywhere: bool) -> str:
    return f"(?i:{re.escape(form)})" if anywhere else rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"


def _forms(secret: str) -> set[str]:
    """The secret as it appears in a text, in a JSON string, in a ``repr``, in one within the other, in an address, on a
    web page.
    """
    found = {secret, html.escape(secret), html.escape(secret, quote=False)}
    for _ in range(2):
        found |= {form for known in found for form in _escaped(known)}
    encoded = _encoded(secret.encode(errors="replace")) if is_distinctive(secret) else ()
    return found | {quote(secret, safe="", errors="replace"), *encoded}


def _encoded(secret: bytes) -> Iterator[str]:
    """The secret in hexadecimal, and the characters of base64 that it alone decides, wherever in a text it begins."""
    yield secret.hex()
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        padded = bytes(before) + secret
        yield base64.b64encode(padded).decode()[first:last]
        yield base64.urlsafe_b64encode(padded).decode()[first:last]


def _escaped(text: str) -> Iterator[str]:
    for in_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield in_json
        yield in_json.replace("/", "\\/")
    yield repr(text)[1:-1]


_of_this_process = Secrets()  # shared by the process: a log line may contain the key of any provider
keep_secret = _of_this_process.keep
redacted = _of_this_process.redacted
redacted_json = _of_this_process.redacted_json


def redact_tracebacks() -> None:
    """Let Python print uncaught exceptions, of threads as well, without secrets."""
    sys.excepthook = _print_redacted
    threading.excepthook = lambda args: _print_redacted(args.exc_type, args.exc_value, args.exc_traceback)


def _print_redacted(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, SystemExit):
        return
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))
