"""Checks of a decoded record that are independent of its format."""

from collections.abc import Iterable, Sequence
from math import isfinite

from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER, BIGGEST_TOKEN_ID
from app.formats.bounds import MOST_RECORDS, MOST_TEXT, MOST_TOKENS
from app.formats.problems import Refuse, problem
from app.formats.records import Explanation, Origin


class Refused(ValueError):
    """A part of a record that cannot be used, with its field."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.field = field


def check_address(layer: int, index: int) -> None:
    """Raises Refused for a layer or an index that no neuron has."""
    if not 0 <= layer <= BIGGEST_LAYER:
        raise Refused(f"a layer is a number from 0 to {BIGGEST_LAYER}, not {layer}", "layer")
    if not 0 <= index <= BIGGEST_INDEX:
        raise Refused(f"an index is a number from 0 to {BIGGEST_INDEX}, not {index}", "index")


def whole_number(text: str | int | float, field: str) -> int:
    """An integer that may be written as text. Raises Refused for anything else."""
    try:
        number = int(text) if isinstance(text, str) else text
    except ValueError:
        raise Refused(f"{str(text)[:40]!r} is not a whole number", field) from None
    if number != int(number):
        raise Refused(f"{number} is not a whole number", field)
    return int(number)


def check_excerpt(tokens: Sequence[str], activations: Sequence[float], *, is_lax: bool) -> None:
    """Raises Refused for unequal lengths, no token, too many, and a number that is not finite.

    A JSON number is always finite; only what was decoded laxly, from text, is looked at.
    """
    if len(tokens) != len(activations):
        raise Refused(f"it has {len(tokens)} tokens and {len(activations)} activations", "activations")
    if not tokens:
        raise Refused("it has no token", "tokens")
    if len(tokens) > MOST_TOKENS:
        raise Refused(f"it has {len(tokens)} tokens; at most {MOST_TOKENS} are read", "tokens")
    if is_lax and not finite(activations):
        raise Refused("an activation is not a finite number", "activations")


def check_token_ids(tokens: Sequence[str], token_ids: Sequence[int] | None) -> None:
    """Raises Refused for ids that are not one for each token, or that no tokenizer has."""
    if token_ids is None:
        return
    if len(token_ids) != len(tokens):
        raise Refused(f"it has {len(tokens)} tokens and {len(token_ids)} token ids", "token_ids")
    if any(not 0 <= token_id <= BIGGEST_TOKEN_ID for token_id in token_ids):
        raise Refused(f"a token id is a number from 0 to {BIGGEST_TOKEN_ID:,}", "token_ids")


def finite(numbers: Iterable[float]) -> bool:
    """Whether every number is finite."""
    known = tuple(numbers)
    # the sum is not finite if a number is not; a finite sum proves that all are finite
    return isfinite(sum(known)) or all(map(isfinite, known))


def check_number_of_records(n: int, field: str) -> None:
    """Raises Refused for more records than any honest sample has."""
    if n > MOST_RECORDS:
        raise Refused(f"it has {n} records; at most {MOST_RECORDS} are read", field)


def check_text(text: str) -> None:
    """Raises Refused for an explanation that is empty or too long."""
    if not text.strip():
        raise Refused("the explanation is empty", "explanation")
    if len(text) > MOST_TEXT:
        raise Refused(f"the explanation has {len(text)} characters; at most {MOST_TEXT} are read", "explanation")


def distinct(explanations: Sequence[Explanation], origin: Origin, refuse: Refuse) -> list[Explanation]:
    """The explanations without repeated ones, of the same text and author; each of those is reported as a problem."""
    found: dict[tuple[str, str | None, str | None], Explanation] = {}
    for explanation in explanations:
        key = (explanation.text.strip(), explanation.author, explanation.method)
        if key in found:
            refuse(problem(origin, "the same explanation stands twice; the first is kept", "explanation"))
        else:
            found[key] = explanation
    return list(found.values())
