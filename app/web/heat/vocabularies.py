"""Vocabularies in memory, one per tokenizer, already escaped for pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.domain.tokens import Vocabulary
from app.queries.neurons.records import vocabulary
from app.web.heat.glyphs import visible

TextArray: TypeAlias = NDArray[np.object_]
"""Strings that an array of indices selects from at once."""


@dataclass(frozen=True, slots=True)
class ShownVocabulary:
    """A vocabulary with what pages need of each token, by token id."""

    vocabulary: Vocabulary
    strings: TextArray
    """The token as text, on its own."""
    texts: TextArray
    """The escaped token as heatmaps show it, with signs for what would not show."""
    parts: frozenset[int]
    """Tokens that are only a part of a character, and have to be joined with their neighbours."""


class Vocabularies:
    """Loads each vocabulary once per process, and again when an import has made it longer."""

    def __init__(self) -> None:
        self._shown: dict[int, ShownVocabulary] = {}
        self._lock = Lock()

    def get(self, session: Session, *, tokenizer_id: int, biggest_token: int) -> ShownVocabulary:
        """The vocabulary of a tokenizer, with at least the token ``biggest_token``. Raises NotFound."""
        shown = self._shown.get(tokenizer_id)
        if shown is None or biggest_token >= len(shown.strings):
            with self._lock:
                shown = self._shown.get(tokenizer_id)
                if shown is None or biggest_token >= len(shown.strings):
                    shown = shown_vocabulary(vocabulary(session, tokenizer_id=tokenizer_id))
                    self._shown[tokenizer_id] = shown
        return shown


def shown_vocabulary(words: Vocabulary) -> ShownVocabulary:
    """A vocabulary made ready for pages."""
    strings = tuple(token.decode("utf-8", errors="replace") for token in words.tokens)
    return ShownVocabulary(
        words,
        strings=text_array(strings),
        texts=text_array([visible(text) for text in strings]),
        parts=frozenset(i for i, token in enumerate(words.tokens) if "\ufffd" in strings[i] and not _is_text(token)),
    )


def text_array(texts: Sequence[str]) -> TextArray:
    """Strings as an array of Python's own strings."""
    return np.array(texts, dtype=object)


def _is_text(token: bytes) -> bool:
    try:
        token.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
