"""Functions that the pages of runs and of tasks share."""

from datetime import datetime
from urllib.parse import urlencode


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """The time from start to end, at least 0; None if one of them is not known yet."""
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def address_with(path: str, **query: str | None) -> str:
    """A URL with those parameters that have a value."""
    pairs = [(name, value) for name, value in query.items() if value]
    return f"{path}?{urlencode(pairs)}" if pairs else path
