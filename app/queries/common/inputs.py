"""What people send, checked before it meets the database."""

from enum import StrEnum
from typing import TypeVar

from app.errors import Invalid

Word = TypeVar("Word", bound=StrEnum)


def plain_text(value: str, *, what: str, limit: int) -> str:
    """``value`` without white space around it.

    Raises Invalid where it is longer than ``limit`` characters or holds a NUL, which Postgres cannot store.
    """
    text = value.strip()
    if "\x00" in text:
        raise Invalid(f"The {what} holds a NUL character. Remove it and send the form again.")
    if len(text) > limit:
        raise Invalid(f"The {what} has {len(text):,} characters; {limit:,} are the most. Shorten it and send it again.")
    return text


def one_of(value: str, words: type[Word], *, what: str) -> Word:
    """The member of ``words`` that is written ``value``. Raises Invalid and lists the words."""
    try:
        return words(value)
    except ValueError as error:
        raise Invalid(f"There is no such {what}. Choose one of: {', '.join(words)}.") from error


def price_of(value: str, *, what: str) -> float | None:
    """An amount of money that a person typed, a comma for a point understood; None where nothing is typed.

    Raises Invalid for a value that is not a number, negative or not finite.
    """
    if not value.strip():
        return None
    try:
        amount = float(value.strip().replace(",", "."))
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise Invalid(f"The {what} is not an amount. Write a number such as 2.50, or leave it empty for no cap.")
    return amount
