from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy.exc import OperationalError

from app.errors import NotFound, Unavailable
from app.web.http.turns import Turns


def taken(turns: Turns, error: Exception | None, holds: Event, waits: int) -> tuple[Future[None], list[Future[None]]]:
    """One who holds the turn until ``holds`` is set and ends so, and others who have come meanwhile."""
    begun = Event()

    def hold() -> None:
        with turns.turn():
            begun.set()
            holds.wait()
            if error is not None:
                raise error

    def wait() -> None:
        with turns.turn():
            pass

    threads = ThreadPoolExecutor(1 + waits)
    first = threads.submit(hold)
    begun.wait()
    others = [threads.submit(wait) for _ in range(waits)]
    while not all(other.running() for other in others):
        pass
    threads.shutdown(wait=False)
    return first, others


def test_those_who_wait_fail_with_the_one_who_reads() -> None:
    turns, holds = Turns(), Event()
    first, others = taken(turns, OperationalError("SELECT", {}, Exception("timeout")), holds, 5)
    holds.set()
    assert isinstance(first.exception(), OperationalError)
    failed = [isinstance(other.exception(), Unavailable) for other in others]
    assert any(failed)  # those who had come to wait; a thread that only began later reads again
    with turns.turn():
        pass  # whoever comes later tries again


def test_an_answer_that_there_is_nothing_fails_nobody_else() -> None:
    turns, holds = Turns(), Event()
    first, others = taken(turns, NotFound(), holds, 5)
    holds.set()
    assert isinstance(first.exception(), NotFound)
    assert [other.exception() for other in others] == 5 * [None]


def test_a_turn_that_fails_is_over() -> None:
    turns = Turns()
    with pytest.raises(OperationalError), turns.turn():
        raise OperationalError("SELECT", {}, Exception("timeout"))
    with turns.turn():
        pass
