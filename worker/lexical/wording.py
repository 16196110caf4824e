"""Rules that make a sentence easy to read: the order of claims and lists, and what to leave out."""

from collections.abc import Sequence

from worker.lexical.grammar import ANY, Affixed, Clause, Condition, Named, Near, Quoted, Reach, Spot, Target

_WORDS_OF_A_LETTER = (b" a", b" A", b" I")
_LETTERS_ONLY = frozenset(
    {
        "words",
        "lower-case words",
        "capitalised words",
        "upper-case words",
        "short words",
        "long words",
        "words after a space",
    }
)
"""Classes that differ only in the form of letter tokens."""
_SIGNS = frozenset({"punctuation", "operators", "brackets", "white space"})


def quoted_alike(target: Target) -> object:
    """A key that is equal for targets that quote the same text, so that one token is not quoted twice."""
    return target.text.strip().lower() or target.text if isinstance(target, Quoted) else target


def is_letter(target: Target) -> bool:
    """Whether the target quotes a single letter that is not a word."""
    if not isinstance(target, Quoted) or target.text in _WORDS_OF_A_LETTER:
        return False
    core = target.text.strip()
    return len(core) == 1 and core.isalpha()


def is_blank(target: Target) -> bool:
    """Whether the target quotes white space other than one line break."""
    return isinstance(target, Quoted) and not target.text.strip() and target.text != b"\n"


def is_odd(condition: Condition | None) -> bool:
    """Whether the condition correlates by chance more often than because the neuron follows it."""
    if isinstance(condition, Near):
        return condition.reach is Reach.SECOND or isinstance(condition.targets[0], Named)
    return condition is Spot.REPEATED


def contradicts(target: Target, condition: Condition | None) -> bool:
    """Whether the two make no sense together, even if true: "words inside a word", "commas early in a text"."""
    if condition in (Spot.EARLY, Spot.LATE):
        return target != ANY  # a count of tokens says nothing about words
    name = target.name if isinstance(target, Named) and target != ANY else None
    if condition is Spot.REPEATED:
        return name is not None
    if condition is Spot.IN_WORD:
        return name in _LETTERS_ONLY or name in _SIGNS
    beside = condition.targets if isinstance(condition, Near) else ()
    return name in _LETTERS_ONLY and any(isinstance(t, Named) and t.name in _LETTERS_ONLY for t in beside)


def in_order_of_strengths(clauses: Sequence[Clause]) -> list[Clause]:
    """Group clauses by strength, in order of first appearance, so that the word for each strength is written once."""
    strengths = list(dict.fromkeys(clause.strength for clause in clauses))
    return sorted(clauses, key=lambda clause: strengths.index(clause.strength))


def in_order_of_kinds(targets: Sequence[Target]) -> tuple[Target, ...]:
    """The targets of a list in order: classes, parts of words, quotations of letters, quotations of signs."""
    return tuple(sorted(targets, key=_kind))


def _kind(target: Target) -> int:
    if isinstance(target, Named):
        return 0
    if isinstance(target, Affixed):
        return 1
    return 2 if target.text.strip().isalpha() else 3
