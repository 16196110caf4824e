"""Named classes of tokens: which tokens of a vocabulary are digits, prepositions, brackets."""

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from app.domain.arrays import Bools, Int32s
from app.domain.tokens import Vocabulary
from worker.lexical.quoting import QUOTATION_MARKS

_MARKS = re.escape("".join(sorted(QUOTATION_MARKS)))


@dataclass(frozen=True, slots=True)
class TokenClass:
    """A class with the name that sentences use and further names that are understood.

    ``matches`` receives the token's text without surrounding white space, and the whole text.
    """

    name: str
    matches: Callable[[str, str], bool]
    also: tuple[str, ...] = ()
    telltale: frozenset[str] = frozenset()
    """Members that only the text has which the class is named after; without them the name would not fit."""


def _listed(words: str) -> Callable[[str, str], bool]:
    members = frozenset(words.split())
    return lambda core, whole: core.lower() in members


def _pattern(expression: str) -> Callable[[str, str], bool]:
    compiled = re.compile(expression)
    return lambda core, whole: compiled.fullmatch(core) is not None


def _whole(expression: str) -> Callable[[str, str], bool]:
    compiled = re.compile(expression, re.DOTALL)
    return lambda core, whole: compiled.fullmatch(whole) is not None


def _is_punctuation(core: str, whole: str) -> bool:
    return bool(core) and all(unicodedata.category(c)[0] in "PS" for c in core)


def _is_capitalised(core: str, whole: str) -> bool:
    return core.isalpha() and core[0].isupper() and (len(core) == 1 or core[1:].islower())


_EXCEPTIONS = r"[A-Z]\w*(Error|Exception|Warning)|Error|Exception|Warning"
_KEYWORDS = frozenset(keyword.kwlist)
_CODE_ALONE = frozenset({"False", "None", "True", "async", "await", "def", "del", "elif", "lambda", "nonlocal"})
"""Keywords that are no English words."""

CLASSES: tuple[TokenClass, ...] = (
    TokenClass("any token", lambda core, whole: True, ("token", "anything", "everything", "all tokens", "every token")),
    TokenClass("digits", _pattern(r"[0-9]+"), ("digit", "number", "numeral", "figure")),
    TokenClass("single digits", _pattern(r"[0-9]"), ()),
    TokenClass("words", lambda core, whole: core.isalpha(), ("word",)),
    TokenClass("lower-case words", lambda core, whole: core.isalpha() and core.islower(), ("lowercase word",)),
    TokenClass("capitalised words", _is_capitalised, ("capitalized word", "capital letter", "proper noun", "name")),
    TokenClass(
        "upper-case words",
        lambda core, whole: len(core) > 1 and core.isalpha() and core.isupper(),
        ("uppercase word", "all caps word", "all-caps", "acronym", "abbreviation"),
    ),
    TokenClass("single letters", lambda core, whole: len(core) == 1 and core.isalpha(), ("letter", "single character")),
    TokenClass("short words", lambda core, whole: core.isalpha() and 2 <= len(core) <= 3),
    TokenClass("long words", lambda core, whole: core.isalpha() and len(core) >= 8),
    TokenClass(
        "words after a space",
        _whole(r" [^\W\d_]+"),
        ("spaced words", "beginnings of words", "word beginning", "new word"),
    ),
    TokenClass("non-ASCII characters", lambda core, whole: not core.isascii(), ("foreign character", "unicode")),
    TokenClass("punctuation", _is_punctuation, ("punctuation mark", "punctuation character", "symbol")),
    TokenClass("operators", _pattern(r"[-+*/=<>!%&|^~@]+"), ("operator", "mathematical sign", "arithmetic operator")),
    TokenClass("comparison operators", _pattern(r"==|!=|<=?|>=?|<>")),
    TokenClass("opening brackets", _pattern(r".*[(\[{]"), ("opening parenthesis", "open bracket", "open parenthesis")),
    TokenClass("closing brackets", _pattern(r"[)\]}].*"), ("closing parenthesis", "close parenthesis")),
    TokenClass("brackets", _pattern(r"[()\[\]{}]+"), ("parenthesis", "parentheses")),
    TokenClass(
        "quotation marks",
        _pattern(f"[rbfRBF]?[{_MARKS}]+"),
        ("quote", "quote mark", "speech mark"),
    ),
    TokenClass("sentence ends", _pattern(r"[.!?…]+[\"'”’)]*"), ("end of sentence", "end of a sentence")),
    TokenClass("full stops", _pattern(r"\."), ("period", "dot")),
    TokenClass("commas", _pattern(r","), ("comma",)),
    TokenClass("colons", _pattern(r":"), ("colon",)),
    TokenClass("semicolons", _pattern(r";"), ("semicolon",)),
    TokenClass("hyphens and dashes", _pattern(r"[-–—]+"), ("hyphen", "dash")),
    TokenClass("underscores", _pattern(r"_+"), ("underscore",)),
    TokenClass("names with an underscore", _pattern(r"(?=.*_)(?=.*\w)[\w]*[^\W_][\w]*"), ("snake case name",)),
    TokenClass("line breaks", _whole(r".*\n.*"), ("newline", "new line", "line end", "end of a line", "line ending")),
    TokenClass("blank lines", _whole(r".*\n\s*\n.*"), ("blank line", "empty line", "paragraph break")),
    TokenClass("indentation", _whole(r"\s*\n[ \t]+|[ \t]{2,}|\t+"), ("indent", "indents")),
    TokenClass("white space", _whole(r"\s+"), ("whitespace", "space", "blank")),
    TokenClass("articles", _listed("a an the"), ("article",)),
    TokenClass(
        "prepositions",
        _listed(
            "of in to for with on at from by about as into like through after over between out against during without "
            "before under around among within along across behind beyond upon onto toward towards off near since until "
            "up down via per except inside outside above below"
        ),
    ),
    TokenClass(
        "pronouns",
        _listed(
            "i you he she it we they me him her us them myself yourself himself herself itself ourselves themselves "
            "this that these those who whom which what one"
        ),
    ),
    TokenClass("personal pronouns", _listed("i you he she it we they me him her us them")),
    TokenClass("possessives", _listed("my your his her its our their whose mine yours hers ours theirs 's")),
    TokenClass("conjunctions", _listed("and or but nor so yet because although though while if unless since whereas")),
    TokenClass(
        "auxiliary verbs",
        _listed(
            "is are was were be been being am has have had having do does did can could will would shall should may "
            "might must"
        ),
        ("auxiliary", "auxiliaries", "helping verb"),
    ),
    TokenClass("modal verbs", _listed("can could will would shall should may might must")),
    TokenClass("forms of to be", _listed("is are was were be been being am"), ("form of be", "forms of be")),
    TokenClass("negations", _listed("not no never none nor neither cannot n't without"), ("negation",)),
    TokenClass("question words", _listed("who what when where why how which whose whom")),
    TokenClass("number words", _listed("zero one two three four five six seven eight nine ten hundred thousand")),
    TokenClass(
        "months",
        _listed("january february march april may june july august september october november december"),
    ),
    TokenClass("weekdays", _listed("monday tuesday wednesday thursday friday saturday sunday")),
    TokenClass(
        "Python keywords",
        lambda core, whole: core in _KEYWORDS,
        ("keyword", "programming keyword"),
        telltale=_CODE_ALONE,
    ),
    TokenClass(
        "names of types",
        _listed("int str float bool bytes list dict tuple set object type bytearray complex frozenset string integer"),
        ("type name", "data type"),
        telltale=frozenset({"int", "str", "bool", "dict", "tuple", "bytearray", "frozenset"}),
    ),
    TokenClass("names of exceptions", _pattern(_EXCEPTIONS), ("exception name", "exception")),
)


@dataclass(frozen=True, slots=True)
class ClassedTokens:
    """What is known of each token of a vocabulary. All arrays are [V]."""

    members: Mapping[str, Bools]
    cores: tuple[str, ...]
    newline: Bools
    breaks_line: Bools
    """Holds a line break with nothing but white space after it."""
    blank: Bools
    starts_letter: Bools
    ends_letter: Bools
    opens: Int32s
    """Opening minus closing brackets."""
    quotes: Int32s
    comment: Bools


@lru_cache(maxsize=16)
def token_table(vocabulary: Vocabulary) -> ClassedTokens:
    """The classes and traits of every token; computed once per vocabulary."""
    texts = tuple(token.decode("utf-8", errors="replace") for token in vocabulary.tokens)
    cores = tuple(text.strip() for text in texts)
    pairs = list(zip(cores, texts, strict=True))
    return ClassedTokens(
        members={c.name: _flags(c.matches(core, whole) for core, whole in pairs) for c in CLASSES},
        cores=cores,
        newline=_flags("\n" in text for text in texts),
        breaks_line=_flags("\n" in text and not text.rpartition("\n")[2].strip() for text in texts),
        blank=_flags(not core for core in cores),
        starts_letter=_flags(_is_letter(token[:1]) for token in vocabulary.tokens),
        ends_letter=_flags(_is_letter(token[-1:]) for token in vocabulary.tokens),
        opens=np.array([_depth(core) for core in cores], dtype=np.int32),
        quotes=np.array([_quote_marks(core) for core in cores], dtype=np.int32),
        comment=_flags("#" in core for core in cores),
    )


def _flags(values: Iterable[bool]) -> Bools:
    return np.fromiter(values, dtype=np.bool_)


def _is_letter(byte: bytes) -> bool:
    """ASCII letters, and any byte of a character beyond ASCII."""
    return bool(byte) and (byte.isalpha() or byte[0] >= 0x80)


def _quote_marks(core: str) -> int:
    """Quotation marks that open or close a text: none in ``'t``, none in a triple quote."""
    marks = core.count('"') + core.count("'")
    return 0 if marks % 3 == 0 or any(c.isalnum() for c in core.lstrip("rbfRBF")) else marks


def _depth(core: str) -> int:
    return sum(core.count(c) for c in "([{") - sum(core.count(c) for c in ")]}")
