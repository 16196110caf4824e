"""The words and phrases that the parser understands, in all the forms that people write."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from worker.lexical.classes import CLASSES
from worker.lexical.grammar import REST_OF_LINE, STRONGER, AffixKind, Named, Reach, Spot


@dataclass(frozen=True, slots=True)
class Strength:
    """A degree, 0..10."""

    value: int


@dataclass(frozen=True, slots=True)
class Affix:
    """The following text is a part of a word."""

    kind: AffixKind


@dataclass(frozen=True, slots=True)
class Mark:
    """A word or sign of structure: on, also on, not, and, or, comma, stop, word, such as, rest of line,
    more strongly."""

    kind: str


@dataclass(frozen=True, slots=True)
class Vague:
    """A word after which a class is not a claim: "words related to ..."."""

    word: str


Meaning: TypeAlias = Strength | Affix | Mark | Vague | Reach | Spot | Named
Phrase: TypeAlias = tuple[str, ...]

ON, NOT, AND, OR, COMMA, STOP = Mark("on"), Mark("not"), Mark("and"), Mark("or"), Mark("comma"), Mark("stop")
WORD, SUCH_AS, REST, ALSO = Mark("word"), Mark("such as"), Mark("rest of line"), Mark("also on")
MORE = Mark("more strongly")

_STRENGTHS = {
    10: "very strongly; extremely strongly; maximally",
    9: "strongly; strong; most strongly; highly; mainly; mostly; primarily; especially; heavily",
    7: "clearly; also",
    5: "moderately; moderate; somewhat; sometimes; less strongly; partly; medium",
    3: "weakly; weak; slightly; a little; occasionally; more weakly; less; faintly; a bit",
    1: "very weakly; barely; rarely; hardly; very slightly; minimally",
}
_REACHES = {
    Reach.NEXT: "after; right after; immediately after; directly after; following; that follow; which follow; follow; "
    "preceded by; that come after; coming after; just after",
    Reach.SECOND: "two tokens after; two places after; two words after; two after; second token after",
    Reach.SHORTLY: "shortly after; soon after; a few tokens after; near; close to; within a few tokens of; "
    "not long after; three tokens after; four tokens after",
    Reach.LINE: "later in a line after; later in the line after; later on the line after; later in the same line as; "
    "in the same line as; on the same line as; on the same line after; in the same line after; in lines with; "
    "in a line with; on a line with; on lines with; in lines that start with; in a line after; later in lines after",
    Reach.ANYWHERE: "anywhere after; somewhere after; sometime after; at any place after; any time after; "
    "in an excerpt after; in texts after; once the text had",
    Reach.BEFORE: "before; right before; immediately before; directly before; just before; preceding; followed by; "
    "that precede; which precede",
}
_LINE = "line; new line; a line of code"
_TEXT = "excerpt; text; document; sequence; passage; context; window; input"
_SPOTS = {
    Spot.IN_WORD: "inside a word; within a word; in a word; in the middle of a word; continuing a word; mid-word; "
    "word continuation; parts of words; part of a word; second part of a word; later part of a word; "
    "in the second part of a word; word piece; continuation of a word",
    Spot.IN_BRACKETS: "inside brackets; within brackets; in brackets; inside parentheses; within parentheses; "
    "in parentheses; between brackets; inside a list of arguments; inside a bracket",
    Spot.IN_QUOTES: "inside quotation marks; in quotation marks; within quotation marks; inside quotes; in quotes; "
    "within quotes; in a string; inside a string; within a string; in a quotation; inside string literals; "
    "in string literals",
    Spot.IN_COMMENT: "in a comment; inside a comment; within a comment; in code comments; after a hash sign",
    Spot.REPEATED: "that occurred before; that occur again; repeated; that repeat; seen before; already seen; "
    "that appeared before; that appeared earlier; repeating; that occurred earlier; that are repeated; again",
    Spot.INDENTED: "in an indented line; on an indented line; in indented code; in an indented block",
}  # fmt: skip
_MARKS = {
    ON: "on; for; fires; firing; activates; active; responds to; when it sees; detects",
    NOT: "not; but not; except; except for; except on; except at; unless; never; excluding; other than; rather than; "
    "but never; but not on; not on; outside of; however not",
    ALSO: "also on; and also on; also for",
    AND: "and; as well as; and also",
    OR: "or; and or",
    REST: f"{REST_OF_LINE}; rest of line following; everything later in a line after; remainder of a line after",
    MORE: STRONGER,
    SUCH_AS: "such as; like; for example; including; for instance; namely",
}
_VAGUE = (
    "related to; relating to; associated with; about; that describe; describing; referring to; that refer to; "
    "concerning; that mean; meaning; of the kind; used; that are; with; that indicate; indicating; involving; "
    "connected to; in the context; that have; having; from; in; of"
)
_AFFIXES = {
    AffixKind.PREFIX: "starting with; that start with; beginning with; that begin with; with the prefix; prefix",
    AffixKind.SUFFIX: "ending in; ending with; that end in; that end with; with the ending; with the suffix; suffix; "
    "with ending",
    AffixKind.INFIX: "containing; that contain; including the letters; with the letters; with the part",
}

ARTICLES = frozenset({"a", "an", "the", "its"})
_NO_PLURAL = ("ss", "us", "is")
_SHORTEST_PLURAL = 4


def normal(word: str) -> str:
    """A word in lower case and British spelling, without its plural or verbal s."""
    word = word.lower().replace("’", "'")
    word = re.sub(r"iz(ed|ing|e)$", r"is\1", word)
    word = re.sub(r"theses$", "thesis", word)
    if len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith(_NO_PLURAL):
        return word[:-1]
    return word


def words_of(text: str) -> Phrase:
    """The normal words of a phrase, without articles and hyphens."""
    found = re.findall(r"[^\W_]+(?:'[^\W_]+)?", text)
    return tuple(normal(w) for w in found if w.lower() not in ARTICLES)


def _spot_forms() -> Iterator[tuple[str, Spot]]:
    """All phrases for the start of a line or of an excerpt, and for its early and late tokens."""
    for noun in _TEXT.split("; "):
        yield from ((f"{when} in {noun}", spot) for when, spot in (("early", Spot.EARLY), ("late", Spot.LATE)))
        yield from ((f"later in {noun}", Spot.LATE), (f"near the start of {noun}", Spot.EARLY))
    for nouns, spot, preposition in ((_LINE, Spot.LINE_START, "on"), (_TEXT, Spot.EXCERPT_START, "in")):
        for noun in nouns.split("; "):
            for start in ("start", "beginning"):
                yield from ((form, spot) for form in (f"at the {start} of {noun}", f"{start} of {noun}"))
                yield from ((form, spot) for form in (f"at {noun} {start}", f"{noun} {start}"))
            yield from ((f"that {verb} {noun}", spot) for verb in ("start", "begin"))
            yield from ((f"first {what} {noun}", spot) for what in (preposition, "token of", "word of"))
    yield from ((form, Spot.EXCERPT_START) for form in ("first token", "first position"))


def _forms() -> Iterator[tuple[str, Meaning]]:
    """Every phrase with its meaning; of two meanings the first is used."""
    tables: tuple[Mapping[Any, str], ...] = (_REACHES, _SPOTS)
    for table in tables:
        yield from ((form, meaning) for meaning, forms in table.items() for form in forms.split("; "))
    yield from _spot_forms()
    yield from ((form, Strength(value)) for value, forms in _STRENGTHS.items() for form in forms.split("; "))
    yield from ((form, Affix(kind)) for kind, forms in _AFFIXES.items() for form in forms.split("; "))
    yield from ((form, Named(c.name)) for c in CLASSES for form in (c.name, *c.also))
    yield from ((form, Vague(form)) for form in _VAGUE.split("; "))
    yield from ((form, mark) for mark, forms in _MARKS.items() for form in forms.split("; "))


def _phrases() -> Mapping[Phrase, Meaning]:
    table: dict[Phrase, Meaning] = {}
    for form, meaning in _forms():
        table.setdefault(words_of(form), meaning)
    return table


PHRASES: Mapping[Phrase, Meaning] = _phrases()
NOUNS = frozenset({"word", "token", "string", "term", "letter", "character", "symbol", "name"})
"""After "the" and before a word without quotation marks, these nouns announce this literal word."""
LONGEST = max(len(phrase) for phrase in PHRASES)
