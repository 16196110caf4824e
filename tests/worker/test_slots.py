"""Slots: threads that call their functions when they are given a turn."""

import asyncio
from threading import Barrier, Event

import pytest

from worker.run.slots import Slots

GUARD_SECONDS = 60.0


def test_a_turn_ends_when_the_function_has_returned() -> None:
    done = []
    slots = Slots("slots", [lambda: done.append(1)])
    slots.start()
    asyncio.run(slots.turn())
    assert done == [1]
    slots.close()


def test_as_many_turns_run_at_a_time_as_there_are_functions() -> None:
    together = Barrier(3)
    slots = Slots("slots", [lambda: together.wait(GUARD_SECONDS)] * 3)
    slots.start()

    async def three() -> None:
        await asyncio.gather(*(slots.turn() for _ in range(3)))

    asyncio.run(three())
    slots.close()


def test_threads_end_once_the_slots_are_closed() -> None:
    slots = Slots("slots", [lambda: None] * 2)
    slots.start()
    slots.close()
    for thread in slots.threads:
        thread.join(GUARD_SECONDS)
    assert not any(thread.is_alive() for thread in slots.threads)


def test_a_turn_that_is_not_waited_for_any_more_goes_on_without_its_event_loop() -> None:
    began, goes_on, ended = Event(), Event(), Event()

    def work() -> None:
        began.set()
        goes_on.wait(GUARD_SECONDS)
        ended.set()

    slots = Slots("slots", [work])
    slots.start()

    async def give_up() -> None:
        turn = asyncio.ensure_future(slots.turn())
        await asyncio.to_thread(began.wait, GUARD_SECONDS)
        turn.cancel()

    asyncio.run(give_up())
    goes_on.set()
    assert ended.wait(GUARD_SECONDS)
    slots.close()
    slots.threads[0].join(GUARD_SECONDS)
    assert not slots.threads[0].is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what is tested
def test_a_function_that_raises_ends_its_thread() -> None:
    def die() -> None:
        raise RuntimeError

    slots = Slots("slots", [die])
    slots.start()

    async def turn() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slots.turn(), 0.05)

    asyncio.run(turn())
    slots.threads[0].join(GUARD_SECONDS)
    assert not slots.threads[0].is_alive()
