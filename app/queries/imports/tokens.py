"""Tokens that a file writes as text, as ids of the subject's tokenizer."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.tokens import TokenForm, token_bytes
from app.models import VocabularyToken
from app.queries.common.bulk import copy_into


class TokenIds:
    """The vocabulary of one tokenizer, in memory, which grows by the tokens that it does not have.

    What a file writes as text is a token of the tokenizer where the bytes are the same; of several with the same bytes
    it is the first. A token that was read is in memory before its transaction ends: an import that fails starts anew.
    """

    def __init__(self, session: Session, *, tokenizer_id: int) -> None:
        self._tokenizer_id = tokenizer_id
        self._ids: dict[bytes, int] = {}
        self._by_text: dict[str, int] = {}
        self._new: list[tuple[int, int, bytes]] = []
        self._next = 0
        rows = session.execute(
            select(VocabularyToken.token_id, VocabularyToken.bytes)
            .where(VocabularyToken.tokenizer_id == tokenizer_id)
            .order_by(VocabularyToken.token_id)
        )
        for token_id, token in rows:
            self._ids.setdefault(token, token_id)
            self._next = token_id + 1

    def ids(self, tokens: Sequence[str], form: TokenForm) -> list[int]:
        """The ids of an excerpt's tokens."""
        known = self._by_text
        try:
            return [known[token] for token in tokens]
        except KeyError:
            return [known[token] if token in known else self._add(token, form) for token in tokens]

    def _add(self, text: str, form: TokenForm) -> int:
        token = token_bytes(text, form)
        token_id = self._ids.get(token)
        if token_id is None:
            token_id = self._ids[token] = self._next
            self._next += 1
            self._new.append((self._tokenizer_id, token_id, token))
        self._by_text[text] = token_id
        return token_id

    def store(self, session: Session) -> None:
        """Add the tokens that are new to the vocabulary."""
        if self._new:
            columns = {"tokenizer_id": "int8", "token_id": "int4", "bytes": "bytea"}
            copy_into(session, "vocabulary", columns, self._new)
            self._new = []
