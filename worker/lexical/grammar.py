"""Claims about where a neuron fires, as values, and the sentence that expresses them.

A claim has a strength, the tokens it is about and the conditions they must meet. The sentence is
read back by ``worker.lexical.parser``; docs/lexical.md describes the language for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from worker.lexical.quoting import quote

STRENGTHS = {9: "strongly", 7: "", 5: "moderately", 3: "weakly", 1: "very weakly"}
"""The words for a strength on the scale 0..10; 0 is expressed with "not"."""
DEFAULT_STRENGTH = 7
STRONGEST = 9
STRONGER = "more strongly"
"""How ``DEFAULT_STRENGTH`` is expressed after a weaker clause."""
NOT = 0
REST_OF_LINE = "the rest of a line after"
"""How ``any token later in a line after`` is expressed."""
SHORTLY = 8
"""Tokens that ``shortly after`` reaches back."""
EARLY = 24
"""The first tokens of an excerpt that are ``early`` in it; all others are late."""


@dataclass(frozen=True, slots=True, order=True)
class Quoted:
    """A token, or tokens that together spell it. Without white space in front it matches one space in front, too.

    ``any_case`` is ``the word "x"``: at a word's beginning, upper or lower case.
    """

    text: bytes
    any_case: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """A class of tokens by its name in ``worker.lexical.classes``."""

    name: str


class AffixKind(StrEnum):
    """Where in a word a text is, in the words of a sentence."""

    PREFIX = "starting with"
    SUFFIX = "ending in"
    INFIX = "containing"


@dataclass(frozen=True, slots=True, order=True)
class Affixed:
    """Tokens of letters that start with, end in or contain a text."""

    kind: AffixKind
    text: str


ANY = Named("any token")
Target: TypeAlias = Quoted | Named | Affixed


class Reach(StrEnum):
    """How far back a neighbour may be."""

    NEXT = "after"
    SECOND = "two tokens after"
    SHORTLY = "shortly after"
    LINE = "later in a line after"
    ANYWHERE = "anywhere after"
    BEFORE = "before"


class Spot(StrEnum):
    """Conditions that name no neighbour."""

    LINE_START = "at the start of a line"
    EXCERPT_START = "at the start of the excerpt"
    IN_WORD = "inside a word"
    IN_BRACKETS = "inside brackets"
    IN_QUOTES = "inside quotation marks"
    IN_COMMENT = "in a comment"
    REPEATED = "that occurred before"
    INDENTED = "in an indented line"
    EARLY = "early in the excerpt"
    LATE = "late in the excerpt"


@dataclass(frozen=True, slots=True)
class Near:
    """A condition that names neighbours: any of ``targets`` at this reach."""

    reach: Reach
    targets: tuple[Target, ...]


Condition: TypeAlias = Near | Spot


@dataclass(frozen=True, slots=True)
class Clause:
    """Any of ``targets`` that meets all ``conditions`` gets ``strength`` (0..10); 0 silences other clauses."""

    strength: int
    targets: tuple[Target, ...]
    conditions: tuple[Condition, ...] = ()


def sentence(clauses: Sequence[Clause]) -> str:
    """The English sentence of these clauses, in their order. The parser returns the same clauses.

    A strength that several clauses in a row have is said once: "weakly on digits, also on commas". The strength without
    a word is "more strongly" after a weaker one, which it would seem to continue otherwise.
    """
    parts: list[str] = []
    previous: Clause | None = None
    for clause in clauses:
        parts.append(_clause(clause, previous))
        previous = clause
    return "fires " + ", ".join(parts)


def _clause(clause: Clause, previous: Clause | None) -> str:
    if clause.strength == NOT and previous is not None and previous.targets == clause.targets and clause.conditions:
        return f"but not{_conditions(clause.conditions)}"
    if clause.strength == NOT:
        return f"but not on {target_words(clause)}"
    word = STRENGTHS.get(clause.strength)
    if word is not None and previous is not None and clause.strength == previous.strength:
        return f"also on {target_words(clause)}"
    if clause.strength == DEFAULT_STRENGTH and previous is not None and NOT < previous.strength < DEFAULT_STRENGTH:
        return f"{STRONGER} on {target_words(clause)}"
    degree = f"{word} " if word else ""
    number = f" ({clause.strength})" if word is None else ""
    return f"{degree}on {target_words(clause)}{number}"


def target_words(clause: Clause) -> str:
    """The clause's targets as a list, and its conditions. Any token right after something is "the token"."""
    first = clause.conditions[0] if clause.conditions else None
    if clause.targets == (ANY,) and first is Spot.EXCERPT_START:
        return f"the token{_conditions(clause.conditions)}"
    if clause.targets == (ANY,) and isinstance(first, Near):
        if first.reach in (Reach.NEXT, Reach.SECOND):
            return f"the token{_conditions(clause.conditions)}"
        if first.reach is Reach.LINE:
            return f"{REST_OF_LINE} {_listed(first.targets, 'or')}{_conditions(clause.conditions[1:])}"
    return _listed(clause.targets, "and") + _conditions(clause.conditions)


def _conditions(conditions: Sequence[Condition]) -> str:
    return "".join(f" {condition_words(condition)}" for condition in conditions)


def condition_words(condition: Condition) -> str:
    """A condition in words."""
    if isinstance(condition, Spot):
        return condition.value
    return f"{condition.reach.value} {_listed(condition.targets, 'or')}"


def _listed(targets: Sequence[Target], conjunction: str) -> str:
    words = [target_phrase(target) for target in targets]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def target_phrase(target: Target) -> str:
    """One target in words."""
    if isinstance(target, Named):
        return target.name
    if isinstance(target, Affixed):
        return f"words {target.kind} {quote(target.text.encode())}"
    return f"the word {quote(target.text)}" if target.any_case else quote(target.text)
