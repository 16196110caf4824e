"""Parser of clauses in any sentence: all that ``grammar.sentence`` writes, and as much as possible of people's texts.

Quoted text, word classes and conditions are parsed; every other word is ignored.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from worker.lexical import words as w
from worker.lexical.grammar import (
    ANY,
    DEFAULT_STRENGTH,
    NOT,
    STRONGEST,
    Affixed,
    AffixKind,
    Clause,
    Condition,
    Named,
    Near,
    Quoted,
    Reach,
    Spot,
    Target,
)
from worker.lexical.quoting import LEXEME_OF_QUOTES, quoted_bytes

_LEXEMES = re.compile(
    f"(?P<quotes>{LEXEME_OF_QUOTES})"
    r"|\(\s*(?P<degree>10|[0-9])\s*(?:/\s*10\s*)?\)"
    r"|(?P<number>[0-9]+)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)"
    r"|(?P<comma>,)|(?P<stop>[.;:!?\n])",
    re.DOTALL,
)
_BROAD = frozenset({"any token", "words", "lower-case words", "capitalised words", "single letters", "punctuation"})


@dataclass(frozen=True, slots=True)
class Text:
    """Quoted text."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Bare:
    """A word without meaning for the parser, as written."""

    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number in running text."""

    value: int


@dataclass(frozen=True, slots=True)
class Degree:
    """A number in brackets: the strength of the preceding claim."""

    value: int


Lexeme: TypeAlias = w.Meaning | Text | Bare | Number | Degree


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Clause, ...]:
    """The clauses of a sentence, in order; empty if none can be parsed."""
    return _Reader(lexemes(text)).clauses()


def executable(text: str) -> tuple[Clause, ...]:
    """The clauses of a text about what the neuron fires on; empty if the text makes no such claim."""
    clauses = parse(text)
    return clauses if any(clause.strength != NOT for clause in clauses) else ()


def lexemes(text: str) -> list[Lexeme]:
    """Split a text into quotes, known phrases (the longest first), numbers, structure, and other words."""
    raw: list[tuple[str, str]] = []
    definite = set()
    for match in _LEXEMES.finditer(text):
        kind = match.lastgroup or ""
        value = match.group(kind)
        if kind == "word" and value.lower() in w.ARTICLES:
            definite.add(len(raw))
        else:
            raw.append((kind, value))
    found: list[Lexeme] = []
    at = 0
    while at < len(raw):
        lexeme, length = _lexeme(raw, at)
        this_very = at in definite and raw[at][1] in w.NOUNS and at + 1 < len(raw)
        if this_very and isinstance(_lexeme(raw, at + 1)[0], Bare):
            lexeme, length = w.WORD, 1
        found.append(lexeme)
        at += length
    return found


def _lexeme(raw: Sequence[tuple[str, str]], at: int) -> tuple[Lexeme, int]:
    """The lexeme at ``at``, and the number of raw pieces that it consists of."""
    kind, value = raw[at]
    if kind == "word":
        return _phrase(raw, at)
    if kind == "quotes":
        return Text(quoted_bytes(value)), 1
    if kind == "degree":
        return Degree(int(value)), 1
    if kind == "number":
        return Number(int(value)), 1
    return (w.COMMA if kind == "comma" else w.STOP), 1


def _phrase(raw: Sequence[tuple[str, str]], at: int) -> tuple[Lexeme, int]:
    words = []
    for kind, value in raw[at : at + w.LONGEST]:
        if kind != "word":
            break
        words.append(w.normal(value))
    for length in range(len(words), 0, -1):
        meaning = w.PHRASES.get(tuple(words[:length]))
        if meaning is not None:
            return meaning, length
    return Bare(raw[at][1]), 1


@dataclass(slots=True)
class _Group:
    """A clause that is being parsed."""

    strength: int = DEFAULT_STRENGTH
    targets: list[Target] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    reach: Reach | None = None
    """The reach of the neighbours that are being listed; None while no neighbours are listed."""
    neighbours: list[Target] = field(default_factory=list)
    complete: bool = False
    """Whether a degree at the end has completed the clause."""

    def close_condition(self) -> None:
        if self.reach is not None and self.neighbours:
            self.conditions.append(Near(self.reach, tuple(self.neighbours)))
        self.reach = None
        self.neighbours = []

    def clause(self, previous: Sequence[Clause]) -> Clause | None:
        """The clause, or None. A bare "but not after ..." is about the previous clause's targets."""
        self.close_condition()
        targets = tuple(self.targets)
        if not targets and self.conditions:
            targets = previous[-1].targets if self.strength == NOT and previous else (ANY,)
        return Clause(self.strength, targets, tuple(self.conditions)) if targets else None


class _Reader:
    """Processes the lexemes once, from left to right."""

    def __init__(self, items: Sequence[Lexeme]) -> None:
        self._items = items
        self._at = 0
        self._group = _Group()
        self._done: list[Clause] = []

    def clauses(self) -> tuple[Clause, ...]:
        while self._at < len(self._items):
            item = self._items[self._at]
            self._at += 1
            self._take(item)
        self._flush()
        return tuple(self._done)

    def _take(self, item: Lexeme) -> None:
        match item:
            case Reach() | Spot():
                self._condition(item)
            case w.Strength(value):
                self._strength(value)
            case Degree(value):
                self._group.strength = value
            case w.Mark():
                self._mark(item)
            case Bare() | w.Vague():
                pass
            case _:
                self._target(item)

    def _target(self, item: Text | Named | Number | w.Affix) -> None:
        match item:
            case Text(value):
                if value:
                    self._add(Quoted(value))
            case Named():
                self._named(item)
            case Number(value):
                self._number(value)
            case w.Affix(kind):
                self._affix(kind)

    def _condition(self, item: Reach | Spot) -> None:
        self._group.close_condition()
        if isinstance(item, Reach):
            self._group.reach = item
        else:
            self._group.conditions.append(item)

    def _next(self) -> Lexeme | None:
        return self._items[self._at] if self._at < len(self._items) else None

    def _flush(self, strength: int = DEFAULT_STRENGTH) -> None:
        clause = self._group.clause(self._done)
        if clause is not None:
            self._done.append(clause)
        self._group = _Group(strength)

    def _add(self, target: Target) -> None:
        """Add a neighbour while these are listed, otherwise a target; after a condition it begins a new clause."""
        if self._group.complete:
            self._flush()
        if self._group.reach is not None:
            self._group.neighbours.append(target)
            return
        if self._group.targets and self._group.conditions:
            self._flush()
        self._group.targets.append(target)

    def _named(self, item: Named) -> None:
        following = self._next()
        if isinstance(following, Text):  # the word "x"
            self._at += 1
            self._add(Quoted(following.value, any_case=item.name == "words"))
        elif isinstance(following, Number):  # the number 5
            self._at += 1
            self._add(Quoted(str(following.value).encode()))
        elif isinstance(following, w.Affix) or following == w.SUCH_AS:
            return  # the words that follow name the tokens
        elif isinstance(following, w.Vague) and item.name in _BROAD:
            return  # "words related to ..." is not a claim about all words
        else:
            self._add(item)

    def _number(self, value: int) -> None:
        if self._next() == Named("white space"):  # 8 spaces
            self._at += 1
            self._add(Quoted(b" " * value))

    def _affix(self, kind: AffixKind) -> None:
        following = self._next()
        if isinstance(following, Text) and following.value:
            self._at += 1
            self._add(Affixed(kind, following.value.decode("utf-8", errors="replace")))

    def _strength(self, value: int) -> None:
        """Handle a strength: before targets it begins a clause, at the end of a clause it belongs to that clause."""
        following = self._next()
        begun = bool(self._group.targets or self._group.neighbours or self._group.conditions)
        if begun and (following is None or following in (w.COMMA, w.STOP)):
            self._group.strength = value
            self._group.complete = True
        elif begun:
            self._flush(value)
        else:
            self._group.strength = value

    def _mark(self, item: w.Mark) -> None:  # noqa: C901 - one line for each mark
        if item == w.STOP:
            self._flush()
        elif item == w.NOT:
            if self._next() != Bare("only"):
                self._flush(NOT)
        elif item == w.ON:
            self._begin()
        elif item == w.ALSO:
            self._also()
        elif item == w.MORE:
            self._strength(self._stronger())
        elif item == w.REST:
            self._rest_of_line()
        elif item in (w.WORD, w.SUCH_AS):
            self._bare_words()
        elif item == w.OR and isinstance(self._next(), Reach | Spot):
            self._flush_for_another_condition()
        elif item == w.COMMA and self._group.reach is not None and not self._list_goes_on():
            self._flush()

    def _flush_for_another_condition(self) -> None:
        """Begin a second claim about the same targets: ``x after "a" or at the start of a line`` has two."""
        targets, strength = list(self._group.targets), self._group.strength
        self._flush(strength)
        if self._done and strength != NOT:
            self._group.targets = targets

    def _begin(self) -> None:
        """Handle "on": targets follow, of a new clause or of one that has begun with its condition."""
        if isinstance(self._next(), Text | Named | Number | w.Affix) or self._next() == w.WORD:
            if self._group.targets:
                self._flush()
            self._group.close_condition()

    def _also(self) -> None:
        """Begin a clause with the strength of the previous one."""
        self._flush()
        self._group.strength = (self._done[-1].strength if self._done else NOT) or DEFAULT_STRENGTH

    def _stronger(self) -> int:
        """The strength of "more strongly": the one without a word after a weaker claim, otherwise the highest."""
        begun = bool(self._group.targets or self._group.conditions)
        before = self._group.strength if begun else self._done[-1].strength if self._done else DEFAULT_STRENGTH
        return DEFAULT_STRENGTH if NOT < before < DEFAULT_STRENGTH else STRONGEST

    def _rest_of_line(self) -> None:
        if self._group.targets:
            self._flush()
        self._group.targets.append(ANY)
        self._group.reach = Reach.LINE

    def _bare_words(self) -> None:
        """Quote words without quotation marks that are meant literally: like cat, dog and bird."""
        awaited = True
        while self._at < len(self._items):
            item = self._items[self._at]
            if awaited and isinstance(item, Bare | w.Vague):
                word = item.value if isinstance(item, Bare) else item.word
                self._add(Quoted(word.encode(), any_case=True))
            elif item not in (w.COMMA, w.AND, w.OR):
                break
            awaited = not isinstance(item, Bare | w.Vague)
            self._at += 1

    def _list_goes_on(self) -> bool:
        """Whether "or" is followed by something other than further items of a list."""
        at = self._at
        while at < len(self._items):
            item = self._items[at]
            if item == w.OR:
                return True
            if item != w.COMMA and not isinstance(item, Text | Named | Affixed | w.Affix):
                return False
            at += 1
        return False
