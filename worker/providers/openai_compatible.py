"""Any endpoint that speaks OpenAI's format, asked many times at once within its limits.

Requests fan out on an event loop in a thread of the provider's own; callers see plain functions.
"""

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI

from app.domain.language_models import UNPROBED, Capability, Outcome
from app.errors import ProviderError
from worker.providers.address import http_client, locate
from worker.providers.base import Attempt, ChatRequest, Reply, Request, ScoreTextRequest, Watch
from worker.providers.limits import Bucket, Clock, Gate
from worker.providers.wire import RAW_CHARACTERS_KEPT, Dialect, body_of, kept, path_of, read_json, reply_of

FINAL_STATUSES = {
    400: "the endpoint refuses the request",
    401: "the key is missing or wrong",
    403: "the key may not use this model",
    404: "there is no such model or address",
    422: "the endpoint refuses the request",
}
PASSING_STATUSES = frozenset({408, 409, 425, 429})
"""Below 500, yet worth another attempt."""
LONGEST_BACKOFF_SECONDS = 30.0
UNWATCHED = Watch()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One named endpoint, as its row in the database says."""

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
    """Attempts at one request before the endpoint counts as down."""
    patience_seconds: float = 300.0
    """Longest wait for one request at a rate limit."""
    dialect: Dialect = field(default_factory=Dialect)
    capabilities: frozenset[Capability] = UNPROBED


@dataclass(frozen=True, slots=True)
class _Sent:
    """How one attempt went. ``status`` is None where no reply came."""

    reply: Reply
    raw: dict[str, Any] | None
    status: int | None
    retry_after: float | None = None

    @property
    def is_overload(self) -> bool:
        return self.status == 429

    @property
    def is_final(self) -> bool:
        """Whether the request itself is at fault, so that no retry can help."""
        refused = self.status is not None and 300 <= self.status < 500 and self.status not in PASSING_STATUSES
        return refused and self.reply.outcome is Outcome.FAILED

    @property
    def is_answer(self) -> bool:
        return self.reply.outcome in (Outcome.OK, Outcome.REFUSED, Outcome.TRUNCATED)


class OpenAICompatible:
    """A provider on an endpoint. ``close`` ends its thread and connections."""

    def __init__(self, settings: EndpointSettings, clock: Clock | None = None) -> None:
        self.name, self.model = settings.name, settings.model
        self.capabilities = settings.capabilities
        self._settings = settings
        self._clock = clock or Clock()
        self._endpoint = locate(settings.base_url, settings.allowed_networks)
        self._gate = Gate(settings.concurrency, self._clock)
        self._requests = Bucket.per_minute(settings.requests_per_minute)
        self._tokens = Bucket.per_minute(settings.tokens_per_minute)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"provider-{self.name}", daemon=True)
        self._thread.start()
        self._client = self._in_loop(self._make_client())

    async def _make_client(self) -> AsyncOpenAI:
        settings = self._settings
        http = http_client(self._endpoint, timeout_seconds=settings.timeout_seconds, connections=settings.concurrency)
        return AsyncOpenAI(
            api_key=settings.key or "none", base_url=settings.base_url, http_client=http, max_retries=0, organization=""
        )

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
        """How many requests are let out at once, after what overloads have taught."""
        return int(self._gate.limit)

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """One reply per request, in order. Raises ProviderError; what is in flight then is still stored."""
        return self._in_loop(self._all(requests, watch))

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """Alternatives inside each text, by the endpoint's prompt log-probabilities. Raises ProviderError."""
        return self._in_loop(self._all(requests, watch))

    async def _all(self, requests: Sequence[Request], watch: Watch) -> tuple[Reply, ...]:
        replies: list[Reply | None] = [None] * len(requests)
        waiting = iter(range(len(requests)))
        stopped = asyncio.Event()

        async def take_turns() -> None:
            for place in waiting:
                if stopped.is_set():
                    return  # nothing new goes out; what is in flight elsewhere is paid for and is waited for
                try:
                    replies[place] = await self._answered(requests[place], watch)
                finally:
                    if replies[place] is None:
                        stopped.set()

        n_workers = min(self._settings.concurrency, len(requests))
        ends = await asyncio.gather(*(take_turns() for _ in range(n_workers)), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return tuple(reply for reply in replies if reply is not None)

    async def _answered(self, request: Request, watch: Watch) -> Reply:
        """The reply to one request after as many attempts as it takes, within bounds."""
        number, failed, give_up_at = 0, 0, self._clock.now() + self._settings.patience_seconds
        while True:
            number += 1
            await asyncio.to_thread(watch.before, request)
            sent = await self._attempt(request, number, watch)
            if sent.is_answer:
                return sent.reply
            if sent.is_overload:
                wait = sent.retry_after or _backoff(number)
                if self._clock.now() + wait > give_up_at:
                    raise self._down(f"it keeps answering 429; the last time it asked to wait {wait:.0f} s")
                continue
            if sent.is_final:
                cause = FINAL_STATUSES.get(sent.status or 0, "the endpoint refuses the request")
                raise ProviderError(f"{self.name}: {cause} ({sent.reply.error})", permanent=True)
            failed += 1
            if failed >= self._settings.tries:
                if sent.reply.outcome is Outcome.UNPARSABLE:
                    return sent.reply
                raise self._down(f"{failed} attempts failed, the last one with: {sent.reply.error}")
            await self._clock.sleep(_backoff(failed))

    def _down(self, cause: str) -> ProviderError:
        return ProviderError(f"{self.name} is down or overloaded: {cause}.", permanent=False)

    async def _attempt(self, request: Request, number: int, watch: Watch) -> _Sent:
        """One attempt, stored before anything else happens."""
        body = body_of(self.model, request, self._settings.dialect)
        estimate = estimated_tokens(request)
        async with self._gate.admitted() as entered_at:
            await self._requests.take(1)
            await self._tokens.take(estimate)
            started = time.perf_counter()
            sent = await self._send(request, body)
            latency = time.perf_counter() - started
            if sent.is_overload:
                self._gate.overloaded(entered_at, sent.retry_after or _backoff(number))
            elif sent.is_answer:
                self._gate.succeeded()
        if sent.reply.usage is not None:
            self._tokens.correct(sent.reply.usage.tokens_in + sent.reply.usage.tokens_out - estimate)
        await asyncio.to_thread(watch.after, Attempt(request, body, sent.raw, sent.reply, number, latency))
        return sent

    async def _send(self, request: Request, body: dict[str, Any]) -> _Sent:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                response = await self._client.post(path_of(request), body=body, cast_to=httpx2.Response)
        except APIStatusError as error:
            raw = {"status": error.status_code, "text": error.response.text[:RAW_CHARACTERS_KEPT]}
            reply = _failure(f"HTTP {error.status_code}: {_cause(error)}")
            return _Sent(reply, raw, error.status_code, retry_after(error.response.headers))
        except (APITimeoutError, TimeoutError):
            return _Sent(_failure(f"no reply within {self._settings.timeout_seconds:g} s"), None, None)
        except APIConnectionError as error:
            return _Sent(_failure(f"the connection failed: {error.__cause__ or error}"), None, None)
        return _read(request, response)


def _read(request: Request, response: httpx2.Response) -> _Sent:
    try:
        body = read_json(response.text)
        reply = reply_of(request, body)
    except ValueError as error:
        raw = {"status": response.status_code, "text": response.text[:RAW_CHARACTERS_KEPT]}
        reply = Reply(Outcome.UNPARSABLE, "", (), None, None, f"the reply cannot be read: {error}")
        return _Sent(reply, raw, response.status_code)
    return _Sent(reply, kept(request, body), response.status_code)


def _failure(error: str) -> Reply:
    return Reply(Outcome.FAILED, "", (), None, None, error)


def _cause(error: APIStatusError) -> str:
    """What the endpoint says, short; a redirect is named for what it is."""
    if 300 <= error.status_code < 400:
        return "the address answers with a redirect, which is not followed"
    return error.message[:300]


def _backoff(number: int) -> float:
    """Seconds to wait after the ``number``-th failure: exponential, bounded, with jitter."""
    return min(LONGEST_BACKOFF_SECONDS, 0.5 * 2.0 ** (number - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds that ``retry-after-ms`` or ``retry-after`` ask to wait; dates are not understood."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None


def estimated_tokens(request: Request) -> int:
    """Tokens a request may take, in and out, guessed high from its characters before it is sent."""
    if isinstance(request, ChatRequest):
        return sum(len(m.content) for m in request.messages) // 3 + request.max_tokens
    return (len(request.prefix) + len(request.text)) // 3
