"""Vocabularies cached in memory, one per tokenizer, already escaped for pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.domain.tokens import Vocabulary
from app.queries.neurons.records import vocabulary
from app.web.heat.glyphs import visible
from app.web.http.turns import Turns

TextArray: TypeAlias = NDArray[np.object_]
"""Strings that can be indexed by an array."""


UNKNOWN = "\ufffd"
"""The text of a token that the vocabulary lacks."""


@dataclass(frozen=True, slots=True)
class ShownVocabulary:
    """A vocabulary with the data that pages need of each token, by token id."""

    vocabulary: Vocabulary
    parts: frozenset[int]
    """Tokens that are only a part of a character, and have to be joined with their neighbours."""
    _strings: TextArray
    _texts: TextArray
    """Texts and raw bytes; both have ``UNKNOWN`` after the last token."""

    def strings(self, token_ids: Sequence[int]) -> list[str]:
        """The tokens as text, each on its own."""
        found: list[str] = self._strings[self._known(token_ids)].tolist()
        return found

    def texts(self, token_ids: Sequence[int]) -> list[str]:
        """The escaped tokens as heatmaps show them, with signs for invisible characters."""
        found: list[str] = self._texts[self._known(token_ids)].tolist()
        return found

    def raw(self, token_ids: Sequence[int]) -> list[bytes]:
        """The bytes of each token."""
        tokens = self.vocabulary.tokens
        return [tokens[i] if i < len(tokens) else UNKNOWN.encode() for i in token_ids]

    def _known(self, token_ids: Sequence[int]) -> NDArray[np.intp]:
        return np.minimum(np.array(token_ids, dtype=np.intp), len(self.vocabulary))


class Vocabularies:
    """Loads each vocabulary once per process, and again after an import has extended it."""

    def __init__(self) -> None:
        self._shown: dict[int, ShownVocabulary] = {}
        self._biggest: dict[int, int] = {}
        """The highest token requested, by tokenizer, so that a missing token is looked up only once."""
        self._turns = Turns()

    def get(self, session: Session, *, tokenizer_id: int, biggest_token: int) -> ShownVocabulary:
        """The vocabulary of a tokenizer, including the token ``biggest_token`` if it exists.

        Raises NotFound, Unavailable.
        """
        if self._lacks(tokenizer_id, biggest_token):
            with self._turns.turn():
                if self._lacks(tokenizer_id, biggest_token):
                    shown = shown_vocabulary(vocabulary(session, tokenizer_id=tokenizer_id))
                    self._shown[tokenizer_id] = shown
                    self._biggest[tokenizer_id] = max(biggest_token, len(shown.vocabulary) - 1)
        return self._shown[tokenizer_id]

    def _lacks(self, tokenizer_id: int, biggest_token: int) -> bool:
        return tokenizer_id not in self._biggest or biggest_token > self._biggest[tokenizer_id]


def shown_vocabulary(words: Vocabulary) -> ShownVocabulary:
    """A vocabulary prepared for pages."""
    strings = tuple(token.decode("utf-8", errors="replace") for token in words.tokens)
    return ShownVocabulary(
        words,
        parts=frozenset(i for i, token in enumerate(words.tokens) if UNKNOWN in strings[i] and not _is_text(token)),
        _strings=text_array([*strings, UNKNOWN]),
        _texts=text_array([visible(text) for text in (*strings, UNKNOWN)]),
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
