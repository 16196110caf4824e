"""How one text differs from another, word by word."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

_WORD = re.compile(r"\s*\S+")
"""A word with the white space before it: inside quotation marks, white space is part of a token."""


class WordChange(StrEnum):
    """How a run of words differs between two texts."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class WordRun:
    """Neighbouring words with the same change."""

    change: WordChange
    text: str


def word_difference(old: str, new: str) -> tuple[WordRun, ...]:
    """The words of both texts in order: same and removed ones make up ``old``, same and added ones ``new``.

    White space at a text's end is left out.
    """
    before, after = _WORD.findall(old), _WORD.findall(new)
    runs: list[WordRun] = []
    for tag, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(WordRun(WordChange.SAME, "".join(before[i:i_end])))
            continue
        if i < i_end:
            runs.append(WordRun(WordChange.REMOVED, "".join(before[i:i_end])))
        if j < j_end:
            runs.append(WordRun(WordChange.ADDED, "".join(after[j:j_end])))
    return tuple(runs)
