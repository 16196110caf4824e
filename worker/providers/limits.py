"""The rate limits of an endpoint: requests at once, requests per minute, tokens per minute."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiolimiter import AsyncLimiter


@dataclass(frozen=True, slots=True)
class Clock:
    """Current time in seconds, and sleeping. Injected, so that tests need not wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Limiter(Protocol):
    """A rate limiter: ``acquire`` waits until the amount is allowed. aiolimiter's, or a fake in tests."""

    max_rate: float

    async def acquire(self, amount: float = 1) -> None:
        """Wait until ``amount``, at most ``max_rate``, is allowed."""
        ...


class Bucket:
    """A limit per minute, of which at most one second's share is allowed at once. Without a limiter there is no limit.

    A request's amount is estimated before it is sent and known after its reply; the difference is settled with the next
    request.
    """

    def __init__(self, limiter: Limiter | None) -> None:
        self._limiter = limiter
        self._owed = 0.0
        self._lock = asyncio.Lock()

    @classmethod
    def per_minute(cls, n: int | None) -> "Bucket":
        """A limit of ``n`` in any minute; None for no limit."""
        if n is None:
            return cls(None)
        per_second = n / 62  # with one second's burst this stays under n in any minute
        at_once = max(1.0, per_second)
        return cls(AsyncLimiter(at_once, time_period=at_once / per_second))

    async def take(self, amount: float) -> None:
        """Wait until ``amount``, plus the debt from before, is allowed; first come, first served."""
        if self._limiter is None:
            return
        async with self._lock:
            due = max(0.0, amount + self._owed)
            self._owed += amount - due
            while due > 0:
                portion = min(due, self._limiter.max_rate)
                await self._limiter.acquire(portion)
                due -= portion

    def correct(self, amount: float) -> None:
        """Charge an underestimated amount, or credit (negative) an unused amount."""
        self._owed += amount


class Gate:
    """Admits at most ``limit`` requests at once; halved by each overload, increased by one per round of successes.

    Additive increase, multiplicative decrease. ``hold`` admits nobody for a while, as Retry-After asks.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self.most = most
        self.limit = float(most)
        self._inside = 0
        self._closed_until = 0.0
        self._lowered_at = -1.0
        self._clock = clock
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[float]:
        """Wait for a free place and for the end of a hold; yields the time of entry."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._inside < max(1, int(self.limit)))
            self._inside += 1
        try:
            while (wait := self._closed_until - self._clock.now()) > 0:
                await self._clock.sleep(wait)
            yield self._clock.now()
        finally:
            async with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def overloaded(self, entered_at: float, hold_seconds: float) -> None:
        """Halve the limit, once per burst: requests that entered before the last reduction do not count again."""
        now = self._clock.now()
        self._closed_until = max(self._closed_until, now + hold_seconds)
        if entered_at > self._lowered_at:
            self.limit = max(1.0, self.limit / 2)
            self._lowered_at = now

    def succeeded(self) -> None:
        """Raise the limit a little, never above its maximum."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
