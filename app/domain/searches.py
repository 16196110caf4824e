"""Search words made safe for PostgreSQL's parser, and the words that an explanation searches for in a corpus."""

import re
from dataclasses import dataclass

_STRAY_MINUS = re.compile(r'-(?![\w"])')


def web_search(words: str) -> str:
    """``words`` for ``websearch_to_tsquery``: a minus sign is kept only if it excludes a word or a quotation.

    PostgreSQL's parser stacks minus signs until their word follows; more than 32 raise an internal error.
    """
    return _STRAY_MINUS.sub(" ", words)


MOST_PREFIXES = 8
"""In one search: each reads all words that begin so."""
MOST_EXCLUDED = 16
"""Words of one search that are excluded even where they are common ones."""
SHORTEST_PREFIX = 2
_PART = re.compile(r'-?"[^"]*"?|\S+')
_EXCLUDED = re.compile(r"-([^\W_]+)")
_PREFIX = re.compile(rf"(-?)([^\W_]{{{SHORTEST_PREFIX},}})\*")


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a word, in lower case."""

    letters: str
    is_excluded: bool = False
    """Whether the text must not contain a word with this beginning."""


@dataclass(frozen=True, slots=True)
class SearchGroup:
    """Conditions that a text must all meet: words for ``websearch_to_tsquery``, and beginnings of words."""

    words: str
    prefixes: tuple[Prefix, ...] = ()
    excluded: tuple[str, ...] = ()
    """Words that the text must not have, apart from those that ``words`` excludes."""


def parse_search(words: str) -> tuple[SearchGroup, ...]:
    """The groups of a search, separated by ``or``; a text has to match one group.

    A word that ends in ``*`` is the beginning of a word; ``-`` before it excludes it. Quotations are left unchanged.
    """
    groups: list[tuple[list[str], list[Prefix], list[str]]] = [([], [], [])]
    n_prefixes, n_excluded = 0, 0
    for part in _PART.findall(words):
        found = _PREFIX.fullmatch(part)
        if part.lower() == "or":
            groups.append(([], [], []))
        elif found and n_prefixes < MOST_PREFIXES:
            n_prefixes += 1
            groups[-1][1].append(Prefix(found[2].lower(), bool(found[1])))
        elif (excluded := _EXCLUDED.fullmatch(part)) and n_excluded < MOST_EXCLUDED:
            n_excluded += 1
            groups[-1][2].append(excluded[1])
        else:
            groups[-1][0].append(part)
    return tuple(
        SearchGroup(web_search(" ".join(own)), tuple(prefixes), tuple(excluded))
        for own, prefixes, excluded in groups
        if own or prefixes or excluded
    ) or (SearchGroup(""),)


def mark_prefixes(text: str, words: str, *, start: str, end: str) -> str:
    """``text`` with marks around the words that begin with a searched prefix, except for words already marked."""
    letters = {prefix.letters for group in parse_search(words) for prefix in group.prefixes if not prefix.is_excluded}
    if not letters:
        return text
    begins = rf"(?<![\w{start}])((?:{'|'.join(sorted(letters))})[^\W_]*)"
    return re.sub(begins, rf"{start}\1{end}", text, flags=re.IGNORECASE)


MOST_WORDS = 12
"""The most words that one explanation searches for; quoted ones come first."""
_QUOTED = re.compile(r'"([^"]+)"|`([^`]+)`|“([^”]+)”')
_WORD = re.compile(r"[^\W\d_]{3,}")
_EMPTY = frozenset(
    _WORD.findall(
        """
    about above activate activates activation active after all also and any anything are before begin begins beginning
    being between both but can contain containing contains context contexts document documents each either end ending
    ends especially etc every excerpt excerpts explanation expression expressions fire fires firing first followed
    following for from has have high highly how including indicate indicating instance instances into its kind last
    letter letters like likely line lines look looks mainly many mention mentions might mildly moderately more most
    mostly names near neuron not often one only other others part particular particularly pattern patterns phrase
    phrases precede preceded precedes preceding refer referring refers related relating sentence sentences sequence
    some something specific start starting starts strongly such syllable syllables term terms text texts than that the
    their them then there these they thing things this those token tokens two type types use used usually various very
    weakly what when where which while with within without word words
    """
    )
)
"""Function words, and words that explanations use of any neuron."""


def searched_words(explanation: str) -> tuple[str, ...]:
    """The words of an explanation to search for in a corpus: quoted texts, then content words.

    In lower case, without surrounding white space, each once, at most ``MOST_WORDS``. Empty if the text names nothing.
    """
    quoted = ["".join(groups).strip().lower() for groups in _QUOTED.findall(explanation)]
    content = [word.lower() for word in _WORD.findall(_QUOTED.sub(" ", explanation))]
    named = [*quoted, *(word for word in content if word not in _EMPTY)]
    return tuple(dict.fromkeys(word for word in named if word))[:MOST_WORDS]
