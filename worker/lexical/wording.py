"""What makes a sentence easy to read: the order of its claims and lists, and what is better left unsaid."""

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
"""Classes that distinguish tokens of letters by their form alone."""
_SIGNS = frozenset({"punctuation", "operators", "brackets", "white space"})


def quoted_alike(target: Target) -> object:
    """A key that is the same for targets that quote the same text: one token is never quoted twice."""
    return target.text.strip().lower() or target.text if isinstance(target, Quoted) else target


def is_letter(target: Target) -> bool:
    """Whether it quotes one letter that is no word."""
    if not isinstance(target, Quoted) or target.text in _WORDS_OF_A_LETTER:
        return False
    core = target.text.strip()
    return len(core) == 1 and core.isalpha()


def is_blank(target: Target) -> bool:
    """Whether it quotes white space that is more than one line break: a reader counts dots."""
    return isinstance(target, Quoted) and not target.text.strip() and target.text != b"\n"


def is_odd(condition: Condition | None) -> bool:
    """Whether a correlation suggests this condition by chance more often than because the neuron follows it."""
    if isinstance(condition, Near):
        return condition.reach is Reach.SECOND or isinstance(condition.targets[0], Named)
    return condition is Spot.REPEATED


def contradicts(target: Target, condition: Condition | None) -> bool:
    """Whether the two make no sense together, true or not: "words inside a word", "commas early in a text"."""
    if condition in (Spot.EARLY, Spot.LATE):
        return target != ANY  # what counts tokens is about no word
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
    """The targets of a list: classes, parts of words, then quotations of letters and of signs; else as they were."""
    return tuple(sorted(targets, key=_kind))


def _kind(target: Target) -> int:
    if isinstance(target, Named):
        return 0
    if isinstance(target, Affixed):
        return 1
    return 2 if target.text.strip().isalpha() else 3
