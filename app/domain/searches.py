"""What people type into a search field, made safe for PostgreSQL's parser, and what an explanation searches for."""

import re

_STRAY_MINUS = re.compile(r'-(?![\w"])')


def web_search(words: str) -> str:
    """``words`` for ``websearch_to_tsquery``: a minus sign stays only where it excludes a word or a quotation.

    The parser keeps each exclusion whose word has not come yet on a stack of 32, and a 33rd is an internal error.
    """
    return _STRAY_MINUS.sub(" ", words)


MOST_WORDS = 12
"""That one explanation searches for: those it quotes come first."""
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
"""What explanations say about any neuron, and function words."""


def searched_words(explanation: str) -> tuple[str, ...]:
    """What a text says that the neuron fires on, to be searched in a corpus: what it quotes, then its content words.

    In lower case, without surrounding white space, each once, at most ``MOST_WORDS``. Empty for a text that names
    nothing.
    """
    quoted = ["".join(groups).strip().lower() for groups in _QUOTED.findall(explanation)]
    content = [word.lower() for word in _WORD.findall(_QUOTED.sub(" ", explanation))]
    named = [*quoted, *(word for word in content if word not in _EMPTY)]
    return tuple(dict.fromkeys(word for word in named if word))[:MOST_WORDS]
