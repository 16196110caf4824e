"""How fast an endpoint may be asked: so many at once, so many requests and tokens a minute.

All in seconds of an injected clock, so that tests need not wait.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, in seconds, and how to wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Bucket:
    """So much a minute, at most one second's worth at once. ``None`` is without bound.

    A charge larger than the bucket is let through when the bucket is full and leaves a debt.
    """

    def __init__(self, per_minute: int | None, clock: Clock) -> None:
        self._rate = 0.0 if per_minute is None else per_minute / 62  # with one second's burst under it in any minute
        self._bounded = per_minute is not None
        self._capacity = max(1.0, self._rate)
        self._level, self._since, self._clock = self._capacity, clock.now(), clock
        self._lock = asyncio.Lock()

    async def take(self, amount: float) -> None:
        """Wait until ``amount`` may go; first come, first served."""
        if not self._bounded:
            return
        async with self._lock:
            self._fill()
            wanted = min(amount, self._capacity)
            if self._level < wanted:
                await self._clock.sleep((wanted - self._level) / self._rate)
                self._fill()
            self._level -= amount

    def correct(self, amount: float) -> None:
        """Charge what was underestimated, or give back (negative) what was not used."""
        self._level -= amount

    def _fill(self) -> None:
        now = self._clock.now()
        self._level = min(self._capacity, self._level + (now - self._since) * self._rate)
        self._since = now


class Gate:
    """At most ``limit`` inside at once: halved by each overload, raised by one per round of successes.

    Additive increase, multiplicative decrease. ``hold`` keeps everyone out for a while, as Retry-After asks.
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
        """Inside there is room; answers the time of entry."""
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
        """Lower the limit, once per burst: requests that entered before the last lowering do not count again."""
        now = self._clock.now()
        self._closed_until = max(self._closed_until, now + hold_seconds)
        if entered_at > self._lowered_at:
            self.limit = max(1.0, self.limit / 2)
            self._lowered_at = now

    def succeeded(self) -> None:
        """Raise the limit a little, never above its maximum."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
