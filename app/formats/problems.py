"""Problems that a reader reports: file, line, field and reason. Good records are kept."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from app.domain.storable import storable_text
from app.formats.records import Origin

MOST_REASON = 300
"""Characters of a reason, which may quote the file."""


@dataclass(frozen=True, slots=True)
class ReadingProblem:
    """One refused part of a file. ``is_gap`` means that something is missing rather than wrong."""

    file: str
    reason: str
    line: int | None = None
    field: str | None = None
    is_gap: bool = False

    def __str__(self) -> str:
        where = str(Origin(self.file, self.line))
        return f"{where}: {self.field}: {self.reason}" if self.field else f"{where}: {self.reason}"


Refuse: TypeAlias = Callable[[ReadingProblem], None]
"""Function that records a problem, after which the reader continues."""

MALFORMED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)
"""Errors that decoding untrusted JSON may raise."""

_PATH = re.compile(r" - at `\$(.*)`$")


def problem(origin: Origin, reason: str, field: str | None = None) -> ReadingProblem:
    """A problem of a record, with its reason short enough to be stored."""
    return ReadingProblem(_short(origin.file), _short(reason), origin.line, None if field is None else _short(field))


def decoding_problem(origin: Origin, error: Exception, within: str = "") -> ReadingProblem:
    """The problem that an error of a decoder describes. ``within`` is the path of the part that was decoded."""
    if isinstance(error, RecursionError):
        return problem(origin, "it is nested too deeply", within or None)
    text = str(error)
    found = _PATH.search(text)
    path = within + (found[1] if found else "")
    return problem(origin, _PATH.sub("", text).rstrip("."), path.lstrip(".") or None)


def _short(text: str) -> str:
    clean = storable_text(text)
    return clean if len(clean) <= MOST_REASON else f"{clean[:MOST_REASON]}…"
