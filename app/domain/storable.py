"""Conversion of arbitrary text and JSON into a form that the database can store."""

import math
from collections.abc import Mapping
from typing import Any

MOST_LEVELS = 40
"""Levels of nested lists and objects; deeper ones are replaced by a note."""
MOST_CHARACTERS = 200_000
"""Characters of one string."""
MOST_ITEMS = 20_000
"""Entries of one list or object."""
BIGGEST_INTEGER = 2**63 - 1


def storable_text(text: str) -> str:
    """``text`` with NUL replaced by U+2400 and unpaired surrogates by U+FFFD, since PostgreSQL refuses both."""
    if "\x00" not in text and text.isascii():
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "\u2400")


def storable_json(value: Any, *, levels: int = MOST_LEVELS) -> Any:
    """A JSON value that PostgreSQL can store: bounded in depth and size, without the values that it refuses.

    Refused are NaN, infinity, NUL and unpaired surrogates. What is cut off is replaced by a note of its size. An
    integer beyond 64 bits becomes a float, or None if it is too large for one.
    """
    if isinstance(value, str):
        return _bounded_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= BIGGEST_INTEGER else _finite(value)
    if isinstance(value, float):
        return _finite(value)
    if levels == 0:
        return "(nested too deeply to be stored)"
    if isinstance(value, Mapping):
        return _bounded_object(value, levels - 1)
    if isinstance(value, list | tuple):
        items = [storable_json(v, levels=levels - 1) for v in value[:MOST_ITEMS]]
        return items if len(value) <= MOST_ITEMS else [*items, f"(and {len(value) - MOST_ITEMS} more)"]
    return storable_text(str(value))


def _bounded_text(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return storable_text(text)
    return f"{storable_text(text[:MOST_CHARACTERS])}(and {len(text) - MOST_CHARACTERS} more characters)"


def _bounded_object(value: Mapping[Any, Any], levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, part in value.items():
        if len(found) == MOST_ITEMS:
            found["(more)"] = f"(and {len(value) - MOST_ITEMS} more)"
            break
        found[_bounded_text(str(key))] = storable_json(part, levels=levels)
    return found


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
