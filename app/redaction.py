"""Values that may never be stored, logged or shown, and their removal from texts.

Whoever reads a key calls ``keep_secret``; whatever leaves the process (a row, a log line, a message)
passes ``redacted``. Both work by value, so that it does not matter which library wrote the text.
"""

import json
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

REPLACEMENT = "[key]"
SHORTEST = 4
"""Characters. Shorter keys are placeholders (``x``) for endpoints that want none; removing them would tear words."""
SHORTEST_ANYWHERE = 8
"""Characters. Shorter keys (``EMPTY``, ``ollama``) are removed where they stand as words of their own."""


class Secrets:
    """Values that are to be removed from texts. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def keep(self, value: str) -> None:
        """Remove ``value`` from now on."""
        values = {text for text in (value, value.strip()) if len(text) >= SHORTEST}
        if values <= self._values:
            return
        with self._lock:
            self._values |= values
            forms = sorted({form for known in self._values for form in _forms(known)}, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_matching, forms)))

    def redacted(self, text: str) -> str:
        """``text`` with every value replaced by ``[key]``."""
        return text if self._pattern is None else self._pattern.sub(REPLACEMENT, text)

    def redacted_json(self, value: Any) -> Any:
        """A JSON value with every value replaced in its strings, names of fields included."""
        if self._pattern is None or not self._pattern.search(json.dumps(value, ensure_ascii=False, default=str)):
            return value
        return self._walked(value)

    def _walked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redacted(value)
        if isinstance(value, Mapping):
            return {self._walked(k): self._walked(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._walked(v) for v in value]
        return value


def _forms(secret: str) -> set[str]:
    """The secret as it stands in a text, in a JSON string, in a ``repr``, in one within the other, in an address."""
    found = {secret}
    for _ in range(2):
        found |= {form for known in found for form in _escaped(known)}
    return found | {quote(secret, safe="", errors="replace")}


def _escaped(text: str) -> Iterator[str]:
    for in_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield in_json
        yield in_json.replace("/", "\\/")
    yield repr(text)[1:-1]


def _matching(form: str) -> str:
    if len(form) >= SHORTEST_ANYWHERE:
        return re.escape(form)
    return rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"


_of_this_process = Secrets()  # one for all: a log line may hold the key of any provider
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
