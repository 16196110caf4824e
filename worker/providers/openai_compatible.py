"""Any endpoint with OpenAI's API format, many requests at once within its limits.

Requests run side by side on an event loop in the provider's own thread; callers call plain functions.
"""

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from app.domain.language_models import UNPROBED, Capability, Outcome
from app.errors import ProviderError
from app.redaction import keep_secret
from worker.providers.address import locate
from worker.providers.base import UNWATCHED, Attempt, ChatRequest, EmbedRequest, Reply, Request, ScoreTextRequest, Watch
from worker.providers.client import open_client
from worker.providers.error_reports import FailureKind
from worker.providers.exchange import AttemptResult, exchange
from worker.providers.limits import Bucket, Clock, Gate
from worker.providers.wire import Dialect, body_of, path_of

CAUSES = {
    400: "the endpoint refuses the request",
    401: "the key is missing or wrong",
    402: "the account has no credit left",
    403: "the key may not use this model",
    404: "there is no such model or address",
    422: "the endpoint refuses the request",
    429: "the account's quota is used up",
}
"""Meanings of permanent statuses; the endpoint's own message is appended."""
ANSWERS = (None, FailureKind.FILTERED, FailureKind.TOO_LONG, FailureKind.TRUNCATED)
"""Failures that end one request and have no consequence for others."""
LONGEST_BACKOFF_SECONDS = 30.0
MOST_DOUBLINGS = 10
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One named endpoint, as its database row describes it."""

    name: str
    model: str
    base_url: str
    key: str = field(repr=False)
    allowed_networks: tuple[str, ...] = ()
    concurrency: int = 8
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_seconds: float = 120.0
    tries: int = 4
    """Attempts per request before the endpoint counts as down."""
    patience_seconds: float = 300.0
    """Longest wait for one request at a rate limit."""
    dialect: Dialect = field(default_factory=Dialect)
    capabilities: frozenset[Capability] = UNPROBED


class OpenAICompatible:
    """A provider for an endpoint. ``close`` ends its thread and connections."""

    def __init__(self, settings: EndpointSettings, clock: Clock | None = None) -> None:
        self.name, self.model = settings.name, settings.model
        self.capabilities = settings.capabilities
        self._settings = settings
        keep_secret(settings.key)
        self._clock = clock or Clock()
        self._endpoint = locate(settings.base_url, settings.allowed_networks)
        self._gate = Gate(settings.concurrency, self._clock)
        self._requests = Bucket.per_minute(settings.requests_per_minute)
        self._tokens = Bucket.per_minute(settings.tokens_per_minute)
        self._client = open_client(
            self._endpoint,
            key=settings.key,
            timeout_seconds=settings.timeout_seconds,
            connections=settings.concurrency,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"provider-{self.name}", daemon=True)
        self._thread.start()

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the connections and the thread."""
        self._in_loop(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def at_once(self) -> int:
        """The number of requests that may be in flight at once, after the overloads so far."""
        return int(self._gate.limit)

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """One reply per request, in order. Raises ProviderError; replies to requests in flight are still stored."""
        return self._in_loop(self._all(requests, watch))

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """Alternatives inside each text, by the endpoint's prompt log-probabilities. Raises ProviderError."""
        return self._in_loop(self._all(requests, watch))

    def embed(self, requests: Sequence[EmbedRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """The embeddings of each request's texts. Raises ProviderError."""
        return self._in_loop(self._all(requests, watch))

    async def _all(self, requests: Sequence[Request], watch: Watch) -> tuple[Reply, ...]:
        replies: list[Reply | None] = [None] * len(requests)
        waiting = iter(range(len(requests)))
        stopped = asyncio.Event()

        async def take_turns() -> None:
            for index in waiting:
                if stopped.is_set():
                    return  # no new requests; those in flight are paid for, so their replies are awaited
                try:
                    replies[index] = await self._answered(requests[index], watch)
                finally:
                    if replies[index] is None:
                        stopped.set()

        n_workers = min(self._settings.concurrency, len(requests))
        ends = await asyncio.gather(*(take_turns() for _ in range(n_workers)), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return tuple(reply for reply in replies if reply is not None)

    async def _answered(self, request: Request, watch: Watch) -> Reply:
        """The reply to one request after as many attempts as needed, within limits.

        ``FAILED`` if only this request has no reply: it is too long, or its replies are never well-formed. Raises
        ProviderError if no request can succeed.
        """
        number, failed, give_up_at = 0, 0, self._clock.now() + self._settings.patience_seconds
        while True:
            number += 1
            await asyncio.to_thread(watch.before, request)
            sent = await self._attempt(request, number, watch)
            if sent.failure in ANSWERS:
                return sent.reply
            if sent.failure is FailureKind.PERMANENT:
                raise self._final(sent)
            if sent.is_overload:
                wait = _overload_seconds(sent, number)
                if self._clock.now() + wait > give_up_at:
                    cause = f"it keeps responding with {sent.reply.error}; the last wait it requested was {wait:.0f} s"
                    raise self._down(cause, sent)
                continue
            failed += 1
            if failed >= self._settings.tries:
                if sent.reply.outcome is Outcome.UNPARSABLE:
                    return replace(sent.reply, outcome=Outcome.FAILED)
                raise self._down(f"{failed} attempts failed, the last one with: {sent.reply.error}", sent)
            await self._clock.sleep(max(_backoff(failed), min(sent.retry_after or 0.0, LONGEST_BACKOFF_SECONDS)))

    def _final(self, sent: AttemptResult) -> ProviderError:
        cause = CAUSES.get(sent.status or 0, "the endpoint refuses the request")
        return EndpointError(f"{self.name}: {cause} ({sent.reply.error})", sent, permanent=True)

    def _down(self, cause: str, sent: AttemptResult) -> ProviderError:
        return EndpointError(f"{self.name} is down or overloaded: {cause}.", sent, permanent=False)

    async def _attempt(self, request: Request, number: int, watch: Watch) -> AttemptResult:
        """One attempt, stored before anything else is done with it."""
        body = body_of(self.model, request, self._settings.dialect)
        estimate = estimated_tokens(request)
        async with self._gate.admitted() as entered_at:
            await self._requests.take(1)
            await self._tokens.take(estimate)
            started = time.perf_counter()
            path = path_of(request)
            sent = await exchange(self._client, path, request, body, timeout_seconds=self._settings.timeout_seconds)
            latency = time.perf_counter() - started
            if sent.is_overload:
                self._gate.overloaded(entered_at, _overload_seconds(sent, number))
            elif sent.failure is None:
                self._gate.succeeded()
        if sent.reply.usage is not None:
            self._tokens.correct(sent.reply.usage.tokens_in + sent.reply.usage.tokens_out - estimate)
        await asyncio.to_thread(watch.after, Attempt(request, body, sent.raw, sent.reply, number, latency))
        return sent


class EndpointError(ProviderError):
    """The endpoint returns no usable reply. ``sent`` is the last attempt."""

    def __init__(self, message: str, sent: AttemptResult, *, permanent: bool) -> None:
        super().__init__(message, permanent=permanent)
        self.sent = sent


def _overload_seconds(sent: AttemptResult, number: int) -> float:
    """Seconds to wait after the ``number``-th attempt; the wait grows if the server names none."""
    return max(sent.retry_after or 0.0, _backoff(number))


def _backoff(number: int) -> float:
    """Seconds to wait after the ``number``-th failure: exponential, bounded, with jitter."""
    longest = 0.5 * 2.0 ** min(number - 1, MOST_DOUBLINGS)
    return min(LONGEST_BACKOFF_SECONDS, longest) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def estimated_tokens(request: Request) -> int:
    """Tokens that a request may take, input and output, overestimated from its characters before it is sent."""
    if isinstance(request, ChatRequest):
        return sum(len(m.content) for m in request.messages) // 3 + request.max_tokens
    if isinstance(request, EmbedRequest):
        return sum(map(len, request.texts)) // 3
    return (len(request.prefix) + len(request.text)) // 3
