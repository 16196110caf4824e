"""Checks of user input before it is used in SQL."""

from enum import StrEnum
from typing import TypeVar

from app.errors import Invalid

Word = TypeVar("Word", bound=StrEnum)


def plain_text(value: str, *, what: str, limit: int) -> str:
    """``value`` without surrounding white space.

    Raises Invalid if it is longer than ``limit`` characters or contains a NUL, which Postgres cannot store.
    """
    text = value.strip()
    if "\x00" in text:
        raise Invalid(f"The {what} holds a NUL character. Remove it and send the form again.")
    if len(text) > limit:
        raise Invalid(f"The {what} has {len(text):,} characters; {limit:,} are the most. Shorten it and send it again.")
    return text


def one_of(value: str, words: type[Word], *, what: str) -> Word:
    """The member of ``words`` with this value. Raises Invalid, with the list of words."""
    try:
        return words(value)
    except ValueError as error:
        raise Invalid(f"There is no such {what}. Choose one of: {', '.join(words)}.") from error


def price_of(value: str, *, what: str) -> float | None:
    """An amount of money that a person typed, a decimal comma included; None if nothing was typed.

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
