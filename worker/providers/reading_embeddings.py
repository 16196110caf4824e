"""Parser of embeddings in OpenAI's wire format. Pure functions."""

import math
from collections.abc import Mapping
from typing import Any


class NoEmbedding(ValueError):
    """The body holds no usable embeddings. The message says why."""


def embeddings_in(body: Mapping[str, Any], *, n: int) -> tuple[tuple[float, ...], ...]:
    """The embeddings of ``n`` texts, in the texts' order. Raises NoEmbedding.

    ``NaN`` and infinity are not JSON, so they do not count as numbers.
    """
    entries = body.get("data")
    if not isinstance(entries, list):
        names = ", ".join(str(name)[:20] for name in list(body)[:8]) or "nothing"
        raise NoEmbedding(f"the reply is JSON without embeddings: it holds {names}")
    if len(entries) != n:
        raise NoEmbedding(f"{n} texts were sent, and {len(entries)} embeddings came back")
    found: dict[int, tuple[float, ...]] = {}
    for position, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise NoEmbedding("an embedding of the reply is no JSON object")
        index = entry.get("index", position)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < n or index in found:
            raise NoEmbedding(f"the embeddings are not numbered from 0 to {n - 1}, each once")
        found[index] = _vector(entry.get("embedding"))
    return tuple(found[index] for index in range(n))


def _vector(values: object) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise NoEmbedding("an embedding is not a list of numbers")
    return tuple(_number(value) for value in values)


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise NoEmbedding("an embedding has a value that is not a finite number")
    return number
