"""Vocabularies in memory, one per tokenizer, already escaped for pages."""

from dataclasses import dataclass
from threading import Lock

from sqlalchemy.orm import Session

from app.domain.tokens import Vocabulary
from app.queries.records import vocabulary
from app.web.glyphs import visible


@dataclass(frozen=True, slots=True)
class ShownVocabulary:
    """A vocabulary with each token's HTML; None for a token that is only a part of a character."""

    vocabulary: Vocabulary
    html: tuple[str | None, ...]
    strings: tuple[str, ...]


class Vocabularies:
    """Loads each vocabulary once per process, and again when an import has made it longer."""

    def __init__(self) -> None:
        self._shown: dict[int, ShownVocabulary] = {}
        self._lock = Lock()

    def get(self, session: Session, *, tokenizer_id: int, biggest_token: int) -> ShownVocabulary:
        """The vocabulary of a tokenizer, with at least the token ``biggest_token``. Raises NotFound."""
        shown = self._shown.get(tokenizer_id)
        if shown is None or biggest_token >= len(shown.html):
            with self._lock:
                shown = self._shown.get(tokenizer_id)
                if shown is None or biggest_token >= len(shown.html):
                    shown = shown_vocabulary(vocabulary(session, tokenizer_id=tokenizer_id))
                    self._shown[tokenizer_id] = shown
        return shown


def shown_vocabulary(words: Vocabulary) -> ShownVocabulary:
    """A vocabulary made ready for pages."""
    return ShownVocabulary(
        words,
        html=tuple(_html(token) for token in words.tokens),
        strings=tuple(token.decode("utf-8", errors="replace") for token in words.tokens),
    )


def _html(token: bytes) -> str | None:
    try:
        return visible(token.decode("utf-8"))
    except UnicodeDecodeError:
        return None
