"""What may go in a minute, by what was really used. The waiting itself is the library's."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.providers.limits import Bucket


class Tally:
    """A limiter that notes what is asked of it, and lets the others run while it waits."""

    max_rate = 10.0

    def __init__(self) -> None:
        self.amounts: list[float] = []

    async def acquire(self, amount: float = 1) -> None:
        self.amounts.append(amount)
        await asyncio.sleep(0)


def test_what_is_more_than_a_seconds_worth_is_taken_in_portions() -> None:
    tally = Tally()
    asyncio.run(Bucket(tally).take(25))
    assert tally.amounts == [10, 10, 5]


def test_what_was_not_used_is_given_back_and_what_was_used_on_top_is_charged() -> None:
    tally = Tally()

    async def work(bucket: Bucket) -> None:
        await bucket.take(8)
        bucket.correct(-5)
        await bucket.take(3)  # paid for already
        await bucket.take(4)  # two of these are
        bucket.correct(3)
        await bucket.take(1)

    asyncio.run(work(Bucket(tally)))
    assert tally.amounts == [8, 2, 4]


def test_first_come_is_first_served() -> None:
    tally, ended = Tally(), list[int]()

    async def take(bucket: Bucket, turn: int, amount: float) -> None:
        await bucket.take(amount)
        ended.append(turn)

    async def work(bucket: Bucket) -> None:
        await asyncio.gather(*(take(bucket, turn, amount) for turn, amount in enumerate((30, 1, 20, 2))))

    asyncio.run(work(Bucket(tally)))
    assert ended == [0, 1, 2, 3]
    assert tally.amounts == [10, 10, 10, 1, 10, 10, 2]


def test_without_a_bound_nothing_is_counted() -> None:
    asyncio.run(Bucket.per_minute(None).take(10**9))


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e4, 1e4)), max_size=20))
@settings(deadline=None)
def test_what_is_taken_is_what_was_used_but_for_the_last_correction(steps: list[tuple[float, float]]) -> None:
    tally = Tally()
    tally.max_rate = 1e3

    async def work(bucket: Bucket) -> None:
        for guess, correction in steps:
            await bucket.take(guess)
            bucket.correct(max(correction, -guess))
        await bucket.take(0)

    asyncio.run(work(Bucket(tally)))
    used = sum(guess + max(correction, -guess) for guess, correction in steps)
    assert sum(tally.amounts) >= used - 1e-6
    assert all(0 < amount <= tally.max_rate for amount in tally.amounts)


def test_a_minute_never_holds_more_than_its_bound() -> None:
    bound, times = 62 * 50, list[float]()

    async def work(bucket: Bucket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(70):
            await bucket.take(1)
            times.append(loop.time())

    asyncio.run(work(Bucket.per_minute(bound)))
    assert all(a <= b for a, b in pairwise(times))
    assert times[-1] - times[0] >= 0.99 * (len(times) - 51) / 50  # one second's worth goes at once
