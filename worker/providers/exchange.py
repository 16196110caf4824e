"""One request to an endpoint and its result: a reply, or a failure with the error that the endpoint reported.

Nothing that contains the key leaves this module: neither the endpoint's messages nor the HTTP client's.
"""

import asyncio
import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
from openai import APIConnectionError, APITimeoutError, AsyncOpenAI

from app.domain.language_models import Outcome
from app.errors import ProviderError
from app.redaction import redacted, redacted_json
from worker.providers.base import Reply, Request
from worker.providers.client import post
from worker.providers.error_reports import (
    ErrorReport,
    FailureKind,
    error_report_in_text,
    error_report_of,
    failure_kind_of,
    is_error_report,
)
from worker.providers.reading import RAW_CHARACTERS_KEPT, kept, read_json, reply_of, text_of
from worker.providers.reading_alternatives import Unreadable
from worker.providers.transport import Received

UNKNOWN_ERROR_STATUS = 502
"""The status used for an error in a reply with status 200 whose code means no status."""
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
OUTCOMES = {FailureKind.FILTERED: Outcome.REFUSED, FailureKind.TRUNCATED: Outcome.TRUNCATED}
"""Outcomes of errors that count as a reply of the model."""
_PLAIN_HTTP = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})
"""OpenSSL's error reasons if the server does not speak TLS."""
_ADVICE = {
    9: "The server's clock or this machine's may be wrong",
    10: "Its owner has to renew it",
    62: "The base URL needs a host that it names",
    64: "The base URL needs a host that it names",
}
"""Advice by OpenSSL's ``X509_V_ERR_`` code, for faults that adding a certificate authority would not fix.

The codes: not yet valid, expired, another host, another address.
"""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of one attempt. ``failure`` is None for a reply, including a refusal by the model itself."""

    reply: Reply
    raw: dict[str, Any] | None
    failure: FailureKind | None = None
    status: int | None = None
    """None if no reply came."""
    retry_after: float | None = None
    report: ErrorReport = field(default_factory=ErrorReport)

    @property
    def is_overload(self) -> bool:
        return self.failure is FailureKind.OVERLOAD


async def exchange(
    client: AsyncOpenAI, path: str, request: Request, body: dict[str, Any], *, timeout_seconds: float
) -> AttemptResult:
    """Send ``body`` and read the complete reply, within ``timeout_seconds`` in all. Never raises."""
    try:
        async with asyncio.timeout(timeout_seconds):
            received = await post(client, path, body)
    except (TimeoutError, APITimeoutError):
        return _failed(f"no reply within {timeout_seconds:g} s")
    except APIConnectionError as error:
        return _unsent(error.__cause__ or error)
    except httpx2.InvalidURL as error:
        return _unsent(error)
    except ProviderError as error:
        return _failed(error.message, FailureKind.PERMANENT if error.permanent else FailureKind.TRANSIENT)
    if received.body is None:
        encoding = redacted(received.headers["content-encoding"])[:20]
        unread = f"the reply is compressed ({encoding}), which was not requested: it is not read"
        return _read(request, received, _Body("", Unreadable(unread)))
    content_type = received.headers.get("content-type", "").lower()
    return _read(request, received, _parsed(text_of(received.body), content_type))


@dataclass(frozen=True, slots=True)
class _Body:
    """A reply's body without secrets: its text, and its JSON value or the reason why it has none."""

    text: str
    value: Any

    @property
    def report(self) -> ErrorReport:
        if not isinstance(self.value, Unreadable):
            return error_report_of(redacted_json(self.value))
        return error_report_in_text(self.text) if self.text else ErrorReport(str(self.value))

    def raw(self, status: int) -> dict[str, Any]:
        """The stored form of a body that is not an answer."""
        if not isinstance(self.value, Unreadable):
            return {"status": status, "body": redacted_json(self.value)}
        return {"status": status, "text": self.text[:RAW_CHARACTERS_KEPT]}


def _parsed(text: str, content_type: str) -> _Body:
    shown = redacted(text)
    try:
        # Redacted as values too, since a key in a JSON string may be written in escapes. A key that is a word is left,
        # since an answer may contain the word.
        return _Body(shown, redacted_json(read_json(text, content_type, shown=shown), words=False))
    except Unreadable as error:
        return _Body(shown, Unreadable(redacted(str(error))))


def _read(request: Request, received: Received, body: _Body) -> AttemptResult:
    """The result of a complete reply."""
    if received.status != 200:
        return _refused(received.status, body.report, received, body)
    value = body.value
    if isinstance(value, list) and len(value) == 1:
        (value,) = value  # one vendor wraps errors in a list
    report = _error_in_answer(value)
    if report is not None:
        return _refused(report.status or UNKNOWN_ERROR_STATUS, report, received, body)
    try:
        if isinstance(value, Unreadable):
            raise value
        return AttemptResult(reply_of(request, value), kept(request, value), status=200)
    except Unreadable as error:
        reply = Reply(Outcome.UNPARSABLE, "", (), None, None, str(error))
        return AttemptResult(reply, body.raw(200), FailureKind.TRANSIENT, status=200)


def _error_in_answer(body: object) -> ErrorReport | None:
    """The error that a reply with status 200 reports, as a whole or in its choice; None if it reports none."""
    if not isinstance(body, dict):
        return None
    if is_error_report(body):
        return error_report_of(redacted_json(body))
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and (first.get("error") or first.get("finish_reason") == "error"):
        return error_report_of(redacted_json(first))
    return None


def _refused(status: int, report: ErrorReport, received: Received, body: _Body) -> AttemptResult:
    """The result of a reply that reports an error, by its status or in its body."""
    failure = failure_kind_of(status, report)
    if failure is FailureKind.OVERLOAD and received.headers.get("x-should-retry", "").lower() == "false":
        failure = FailureKind.PERMANENT
    words = report.message
    if 300 <= status < 400:
        words = "the response is a redirect, which is not followed"
    where = f"HTTP {status}" if status == received.status else f"error {status} in a reply with HTTP 200"
    reply = _failure(f"{where}: {words}" if words else where)
    reply = replace(reply, outcome=OUTCOMES.get(failure, Outcome.FAILED))
    return AttemptResult(reply, body.raw(received.status), failure, status, retry_after(received.headers), report)


def _unsent(error: BaseException) -> AttemptResult:
    """The result if no complete reply came: the request cannot be sent, or the connection failed or broke.

    The client library reports all of these as connection errors. ``error`` is the cause, which distinguishes a faulty
    request, for which no retry helps, from an outage.
    """
    if isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return _failed(f"the request cannot be sent: {error}", FailureKind.PERMANENT)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and (fault := _fault_of_tls(cause)) is not None:
            return _failed(fault, FailureKind.PERMANENT)
        cause = cause.__cause__ or cause.__context__
    return _failed(f"the connection failed: {str(error).rstrip('.') or type(error).__name__}")


def _fault_of_tls(error: ssl.SSLError) -> str | None:
    """A TLS fault that no retry fixes, with advice; None for a broken connection."""
    if error.reason in _PLAIN_HTTP:
        return "the server does not use TLS at this port: the base URL may have to begin with http://"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    advice = _ADVICE.get(error.verify_code, "Name the file of your certificate authority in SSL_CERT_FILE")
    return f"the certificate is not trusted: {error.verify_message.rstrip('.')}. {advice}"


def _failed(error: str, failure: FailureKind = FailureKind.TRANSIENT) -> AttemptResult:
    return AttemptResult(_failure(error), None, failure)


def _failure(error: str) -> Reply:
    return Reply(Outcome.FAILED, "", (), None, None, redacted(error))


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``retry-after`` (seconds or a date); None without either."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if seconds >= 0:  # NaN is not
            return min(seconds, LONGEST_RETRY_AFTER_SECONDS)
    return _seconds_until(headers.get("retry-after", ""))


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS)
