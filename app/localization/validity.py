"""How long a text stays correct that depends on the time, such as ``2 hours ago``."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from babel.dates import TIMEDELTA_UNITS

FOREVER = float("inf")
MINUTE = 60


@dataclass(slots=True)
class Validity:
    """The earliest time, in seconds since the epoch, at which a written text changes."""

    until: float = FOREVER


_CURRENT: ContextVar[Validity | None] = ContextVar("validity", default=None)


@contextmanager
def noted_validity() -> Iterator[Validity]:
    """Collect how long the ages written in the block stay correct."""
    validity = Validity()
    token = _CURRENT.set(validity)
    try:
        yield validity
    finally:
        _CURRENT.reset(token)


def note_validity(seconds: float) -> None:
    """Record that a written text stays correct for this many seconds."""
    validity = _CURRENT.get()
    if validity is not None:
        validity.until = min(validity.until, time.time() + seconds)


def next_change(whole: int) -> float:
    """The age in seconds at which the text of an age of ``whole`` seconds changes at the earliest.

    ``whole`` is a number of whole minutes. Babel writes the largest unit that is reached, rounded to a whole number:
    the next text comes half a unit after it, or with the next larger unit, and not within the minute.
    """
    larger = FOREVER
    for _, size in TIMEDELTA_UNITS:
        if whole >= size:
            found = min(larger, (round(whole / size) + 0.5) * size)
            return max(whole + MINUTE, math.ceil(found / MINUTE) * MINUTE)
        larger = size
    return MINUTE
