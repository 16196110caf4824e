"""The errors that endpoints report, in the many forms of different servers, and what each means for the next attempt.

Pure functions. Endpoints, gateways and frameworks agree neither on the field of the message nor on codes, and some
report an error with status 200. Nothing here raises, whatever the body.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LONGEST_WORDS = 400
"""Characters of an endpoint's message that an error keeps; the stored reply has the whole message."""
MOST_LEVELS = 8
_WORDS = (
    "message", "msg", "detail", "details", "error", "errors", "error_description", "error_msg", "error_message",
    "reason", "title", "faultstring", "fault", "raw", "metadata", "innererror", "base_resp", "status_msg",
    "description", "issues", "fieldviolations", "violations",
)  # fmt: skip
"""Fields that contain a message or lead to one, compared without case."""
_PREFIXED = frozenset({"message", "msg", "detail", "description"})
"""The messages that are told with the field that they are about."""
_CODES = ("code", "type", "status", "status_code", "error_code", "http_status", "error", "reason")
_FIELD_PATH = frozenset({"param", "parameter", "loc", "field", "keys", "path", "pointer"})


class FailureKind(StrEnum):
    """The meaning of a failed attempt for the next one."""

    TRANSIENT = "transient"
    """Another attempt may succeed."""
    OVERLOAD = "overload"
    """Another attempt may succeed after a wait, with fewer requests at once."""
    PERMANENT = "permanent"
    """No attempt of any request can succeed: key, model, address, quota."""
    FILTERED = "filtered"
    """The endpoint's content filter refuses this prompt."""
    TOO_LONG = "too long"
    """This prompt does not fit into the model's context."""
    TRUNCATED = "truncated"
    """The model was still writing or reasoning when it reached the request's token limit."""


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An endpoint's message on one line, its codes in lower case, and the fields of the request that it names."""

    message: str = ""
    codes: tuple[str, ...] = ()
    fields: frozenset[str] = frozenset()

    @property
    def status(self) -> int | None:
        """The HTTP status that its codes mean, otherwise its message; None if neither means one."""
        for code in self.codes:
            status = _numeric_status(code)
            if status is not None:
                return status
        for text in (*self.codes, self.message):
            for pattern, status in _STATUS_OF:
                if pattern.search(text):
                    return status
        return None


_STATUS_OF = tuple(
    (re.compile(pattern, re.IGNORECASE), status)
    for pattern, status in (
        (r"invalid[_ -]?api[_ -]?key|api[_ -]?key[_ -]invalid|(?:incorrect|no) api key|invalid[_ -]token", 401),
        (r"authenticat|unauthori[sz]ed", 401),
        (r"insufficient[_ -](?:quota|balance|funds|credit)|billing|payment", 402),
        (r"permission|forbidden|access denied", 403),
        (r"not[_ -]?found|no such model|does not exist|unknown model", 404),
        (r"rate[_ -]?limit|too[_ -]many[_ -]requests|throttl|resource[_ -]exhausted|quota", 429),
        (r"invalid[_ -](?:request|argument|param)|bad[_ -]?request|validation|unsupported|context[_ -]length", 400),
        (r"overloaded|unavailable|server[_ -]error|internal|time(?:d)?[_ -]?out", 503),
    )
)
_OUT_OF_CREDIT = re.compile(
    r"insufficient[_ -](?:quota|balance|funds|credit)|exceeded your current quota|billing[_ -]hard[_ -]limit"
    r"|billing[_ -]not[_ -]active|credit balance is too low|out of credits|access[_ -]terminated|payment required"
    r"|account[_ -](?:deactivated|disabled|suspended)|spend(?:ing)?[_ -](?:limit|cap)\b|used all available credits"
    r"|credits? (?:is|are|has been|have been) (?:depleted|exhausted|used up)|ran out of credits?|out of credit\b",
    re.IGNORECASE,
)
_PASSES = re.compile(r"(?:retry|try again) (?:in|after) \d", re.IGNORECASE)
"""A quota of a minute or a day, which some vendors report in the words of a quota that is used up."""
_FILTERED = re.compile(
    r"content[_ -]?filter|content[_ -]?policy|content[_ -]management[_ -]policy|responsible[_ -]?ai"
    r"|moderation|usage[_ -]polic|flagged[_ -]|\bflagged\b|data[_ -]?inspection[_ -]?failed|content exists risk"
    r"|sensitive[_ -]?content|prohibited[_ -]content|invalid_prompt|\bsafety\b",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[_ -]?(?:length|window|size)|exceed_context|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|string[_ -]above[_ -]max[_ -]length|input is too long|reduce the length|inputs.{0,3} tokens \+",
    re.IGNORECASE,
)
_TRUNCATED = re.compile(r"output limit was reached|could not finish the message", re.IGNORECASE)
_STATUSES_OF_FILTERS = frozenset({400, 403, 422, 451})
_STATUSES_OF_LENGTHS = frozenset({400, 413, 422, 500})
_TRANSIENT_STATUSES = frozenset({408, 409, 425})
_NOT_IMPLEMENTED = 501


def failure_kind_of(status: int, report: ErrorReport) -> FailureKind:
    """The meaning for the next attempt of an error with this HTTP status (300..599)."""
    searched = " ".join((*report.codes, report.message))
    if status == 402 or (_OUT_OF_CREDIT.search(searched) and not _PASSES.search(searched)):
        return FailureKind.PERMANENT
    if status in _STATUSES_OF_FILTERS and _FILTERED.search(searched):
        return FailureKind.FILTERED
    if status == 400 and _TRUNCATED.search(searched):
        return FailureKind.TRUNCATED
    if status == 413 or (status in _STATUSES_OF_LENGTHS and _TOO_LONG.search(searched)):
        return FailureKind.TOO_LONG
    if status == 429:
        return FailureKind.OVERLOAD
    if status in _TRANSIENT_STATUSES or (status >= 500 and status != _NOT_IMPLEMENTED):
        return FailureKind.TRANSIENT
    return FailureKind.PERMANENT


def error_report_of(body: object) -> ErrorReport:
    """The error that a JSON body reports, wherever it is in the body."""
    words = dict.fromkeys(one_line(text) for text in _words_in(body, MOST_LEVELS))
    return ErrorReport(
        message=_bounded("; ".join(w for w in words if w)),
        codes=tuple(dict.fromkeys(_codes_in(body))),
        fields=frozenset(_fields_in(body)),
    )


def error_report_in_text(text: str) -> ErrorReport:
    """The error of a body that is not JSON: the title of a web page, else its first characters."""
    if (title := title_of_page(text)) is not None:
        return ErrorReport(f"a web page{title}")
    return ErrorReport(one_line(text))


def is_error_report(body: Mapping[str, Any]) -> bool:
    """Whether a body that came with status 200 reports an error. An empty field ``error`` is ignored."""
    if body.get("object") == "error" or body.get("type") == "error":
        return True
    error = body.get("error")
    if isinstance(error, Mapping):
        found = error_report_of(error)
        return bool(found.message) or found.status is not None
    if error:
        return True
    return not body.get("choices") and bool(error_report_of(body).message)


def title_of_page(text: str) -> str | None:
    """`` titled "..."`` for a web page, empty if it has no title; None for a text that is not a web page."""
    begins = r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body|h1|title|center)\b"
    if not re.match(begins, text, re.IGNORECASE):
        return None
    title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", text[:20_000], re.IGNORECASE | re.DOTALL)
    words = "" if title is None else one_line(html.unescape(re.sub(r"<[^>]*>", " ", title[2])))
    return f' titled "{words[:80]}"' if words else ""


def _words_in(value: object, levels: int) -> Iterator[str]:
    """Messages in a body, the outermost first within each branch."""
    if isinstance(value, str):
        yield value
    elif levels and isinstance(value, list):
        for part in value[:10]:
            yield from _words_in(part, levels - 1)
    elif levels and isinstance(value, Mapping):
        named = {str(name).lower(): part for name, part in value.items()}
        where = _path(named.get("loc") or named.get("pointer") or named.get("path"))
        for name in _WORDS:
            for text in _words_in(named.get(name), levels - 1):
                yield f"{where}: {text}" if where and name in _PREFIXED else text


def _objects_in(value: object, levels: int) -> Iterator[dict[str, object]]:
    """The objects of a body that may report an error, with names in small letters, the outermost first."""
    if levels and isinstance(value, list):
        for part in value[:10]:
            yield from _objects_in(part, levels - 1)
    elif levels and isinstance(value, Mapping):
        named = {str(name).lower(): part for name, part in value.items()}
        yield named
        for name in _WORDS:
            yield from _objects_in(named.get(name), levels - 1)


def _codes_in(body: object) -> Iterator[str]:
    for named in _objects_in(body, MOST_LEVELS):
        for name in _CODES:
            code = named.get(name)
            if isinstance(code, str | int) and not isinstance(code, bool) and len(str(code)) <= 80:
                yield str(code).lower()


def _fields_in(body: object) -> Iterator[str]:
    for named in _objects_in(body, MOST_LEVELS):
        for name in _FIELD_PATH & named.keys():
            found = named[name]
            parts = found if isinstance(found, list) else [found]
            yield from (_first_name(part) for part in parts if isinstance(part, str) and part != "body")


def _first_name(path: str) -> str:
    """``messages`` of ``messages[0].role`` and of the JSON pointer ``#/messages/0``."""
    return re.split(r"[.\[/]", path.lstrip("#/"), maxsplit=1)[0]


def _path(loc: object) -> str:
    """``seed`` of ``["body", "seed"]`` and of the JSON pointer ``#/seed``; nothing of an address of the server."""
    if isinstance(loc, str) and loc.startswith("#/"):
        loc = loc[2:].split("/")
    parts = loc if isinstance(loc, list) else []
    return ".".join(str(part) for part in parts[:6] if part != "body")


def _numeric_status(code: str) -> int | None:
    """The status in a code such as ``429``, and in codes that begin with one, such as ``40303``."""
    if not code.isascii() or not code.isdigit() or len(code) not in (3, 5):
        return None
    status = int(code[:3])
    return status if 400 <= status < 600 else None


def one_line(text: str) -> str:
    """``text`` on one line of limited length, without invisible characters."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 10 * LONGEST_WORDS])
    return _bounded(" ".join(shown.split()))


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"
