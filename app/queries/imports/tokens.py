"""Conversion of a file's token strings to ids of the subject's tokenizer."""

from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.tokens import TokenForm, token_bytes
from app.models import VocabularyToken
from app.queries.common.bulk import copy_into

_NAME = text("""
    UPDATE vocabulary SET model_id = named.model_id
    FROM unnest(CAST(:token_ids AS int[]), CAST(:model_ids AS int[])) AS named (token_id, model_id)
    WHERE vocabulary.tokenizer_id = :tokenizer_id AND vocabulary.token_id = named.token_id
""")


class TokenIds:
    """The vocabulary of one tokenizer, in memory; unknown tokens are added.

    A token string is matched by its bytes, and by the model's id if the file gives one; the first of equal tokens is
    used. Tokens are added in memory before the transaction ends, so a failed import must create a new instance.
    """

    def __init__(self, session: Session, *, tokenizer_id: int) -> None:
        self._tokenizer_id = tokenizer_id
        self._ids: dict[bytes, int] = {}
        self._by_text: dict[str, int] = {}
        self._by_model_id: dict[tuple[bytes, int], int] = {}
        self._by_both: dict[tuple[str, int], int] = {}
        self._unnamed: dict[bytes, int] = {}
        """Tokens whose id in the model's tokenizer is not known."""
        self._new: dict[int, bytes] = {}
        self._named: dict[int, int] = {}
        """Ids in the model's tokenizer that are not stored yet, by token."""
        self._next = 0
        rows = session.execute(
            select(VocabularyToken.token_id, VocabularyToken.bytes, VocabularyToken.model_id)
            .where(VocabularyToken.tokenizer_id == tokenizer_id)
            .order_by(VocabularyToken.token_id)
        )
        for token_id, token, model_id in rows:
            self._know(token_id, token, model_id)

    def ids(self, tokens: Sequence[str], form: TokenForm, model_ids: Sequence[int] | None = None) -> list[int]:
        """The ids of an excerpt's tokens; ``model_ids`` are those in the model's own tokenizer, if known."""
        if model_ids is not None:
            named = self._by_both
            pairs = list(zip(tokens, model_ids, strict=True))
            return [named[pair] if pair in named else self._add_named(*pair, form) for pair in pairs]
        known = self._by_text
        try:
            return [known[token] for token in tokens]
        except KeyError:
            return [known[token] if token in known else self._add(token, form) for token in tokens]

    def _know(self, token_id: int, token: bytes, model_id: int | None) -> None:
        self._ids.setdefault(token, token_id)
        if model_id is None:
            self._unnamed.setdefault(token, token_id)
        else:
            self._by_model_id[token, model_id] = token_id
        self._next = max(self._next, token_id + 1)

    def _add(self, written: str, form: TokenForm) -> int:
        token = token_bytes(written, form)
        if token not in self._ids:
            self._new[self._next] = token
            self._know(self._next, token, None)
        self._by_text[written] = self._ids[token]
        return self._ids[token]

    def _add_named(self, written: str, model_id: int, form: TokenForm) -> int:
        token = token_bytes(written, form)
        key = token, model_id
        if key not in self._by_model_id:
            token_id = self._unnamed.pop(token, None)
            if token_id is None:
                token_id = self._next
                self._new[token_id] = token
            self._named[token_id] = model_id
            self._know(token_id, token, model_id)
        self._by_both[written, model_id] = self._by_model_id[key]
        return self._by_model_id[key]

    def store(self, session: Session) -> None:
        """Add new tokens to the stored vocabulary, and newly known ids of the model's tokenizer."""
        if self._new:
            columns = {"tokenizer_id": "int8", "token_id": "int4", "bytes": "bytea", "model_id": "int4"}
            rows = [(self._tokenizer_id, i, token, self._named.pop(i, None)) for i, token in self._new.items()]
            copy_into(session, "vocabulary", columns, rows)
        if self._named:
            ids = {"token_ids": list(self._named), "model_ids": list(self._named.values())}
            session.execute(_NAME, {"tokenizer_id": self._tokenizer_id, **ids})
        self._new, self._named = {}, {}
