"""Excerpts of imported files. Equal tokens are the same excerpt, however many neurons have it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.tokens import TokenForm
from app.formats.records import ActivationRecord
from app.queries.common.bulk import copy_into
from app.queries.imports.tokens import TokenIds

MOST_REMEMBERED = 500_000
"""Excerpts whose ids are cached in memory, about 100 bytes each; others are looked up again."""

_CREATE = text(
    "CREATE TEMP TABLE new_excerpt (ordinal int, document text, position int, token_ids int[]) ON COMMIT DROP"
)
_DOCUMENTS = text("""
    INSERT INTO document (corpus_id, ordinal, name)
    SELECT :corpus_id, (SELECT coalesce(max(ordinal), -1) FROM document WHERE corpus_id = :corpus_id)
        + row_number() OVER (ORDER BY min(n.ordinal)), n.document
    FROM new_excerpt AS n
    WHERE n.document IS NOT NULL AND NOT EXISTS (
        SELECT FROM document AS d WHERE d.corpus_id = :corpus_id
            AND hashtextextended(d.name, 0) = hashtextextended(n.document, 0) AND d.name = n.document
    )
    GROUP BY n.document
""")
_FIND = text("""
    SELECT n.ordinal, coalesce(
        (SELECT e.id FROM excerpt AS e
         WHERE n.document IS NULL AND e.document_id IS NULL AND e.corpus_id = :corpus_id
            AND hash_array_extended(e.token_ids, 0) = hash_array_extended(n.token_ids, 0)
            AND e.token_ids = n.token_ids AND e.tokenizer_id = :tokenizer_id ORDER BY e.id LIMIT 1),
        (SELECT e.id FROM document AS d JOIN excerpt AS e ON e.document_id = d.id
         WHERE d.corpus_id = :corpus_id AND hashtextextended(d.name, 0) = hashtextextended(n.document, 0)
            AND d.name = n.document AND e.tokenizer_id = :tokenizer_id AND e.position = n.position
            AND e.length = cardinality(n.token_ids) AND e.token_ids = n.token_ids ORDER BY e.id LIMIT 1)
    ) AS id
    FROM new_excerpt AS n ORDER BY n.ordinal
""")
_INSERT = text("""
    INSERT INTO excerpt (corpus_id, document_id, tokenizer_id, position, length, token_ids)
    SELECT :corpus_id, (SELECT min(d.id) FROM document AS d WHERE d.corpus_id = :corpus_id
            AND hashtextextended(d.name, 0) = hashtextextended(n.document, 0) AND d.name = n.document),
        :tokenizer_id, n.position, cardinality(n.token_ids), n.token_ids
    FROM new_excerpt AS n WHERE n.ordinal = ANY(:missing) ORDER BY n.ordinal
    ON CONFLICT (document_id, tokenizer_id, position, length) DO NOTHING
""")
_PUT_NOWHERE = text("UPDATE new_excerpt SET document = NULL, position = 0 WHERE ordinal = ANY(:missing)")
"""Removes the document and position of excerpts whose document has other tokens there: files reuse names."""


@dataclass(frozen=True, slots=True)
class ExcerptText:
    """The tokens of an excerpt as a file writes them, and its document and position if the file gives them."""

    tokens: Sequence[str]
    document: str | None = None
    position: int | None = None
    model_ids: Sequence[int] | None = None
    """The ids of the tokens in the model's own tokenizer."""

    @property
    def key(self) -> bytes:
        """A key that is equal for equal excerpts."""
        where = "" if self.document is None else f"\x1e{self.document}\x1e{self.position}"
        ids = "" if self.model_ids is None else f"\x1d{self.model_ids}"
        content = f"{chr(31).join(self.tokens)}{where}{ids}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).digest()


def text_of(record: ActivationRecord) -> ExcerptText:
    """The excerpt of a record."""
    return ExcerptText(record.tokens, record.document, record.position, record.token_ids)


class ExcerptIds:
    """The ids of excerpts, cached by their text."""

    def __init__(self, tokens: TokenIds, *, corpus_id: int, tokenizer_id: int) -> None:
        self._tokens = tokens
        self._parameters = {"corpus_id": corpus_id, "tokenizer_id": tokenizer_id}
        self._ids: dict[bytes, int] = {}
        self.longest = 0
        """The number of tokens of the longest excerpt."""

    def find(self, session: Session, texts: Sequence[ExcerptText], form: TokenForm) -> list[int]:
        """The id of each excerpt; new ones are stored."""
        keys = [each.key for each in texts]
        known = self._ids
        missing = {key: each for key, each in zip(keys, texts, strict=True) if key not in known}
        if len(known) + len(missing) > MOST_REMEMBERED:
            self._ids = known = {key: known[key] for key in set(keys) & known.keys()}
        if missing:
            found = self._stored(session, list(missing.values()), form)
            known.update(zip(missing, found, strict=True))
        return [known[key] for key in keys]

    def _stored(self, session: Session, texts: Sequence[ExcerptText], form: TokenForm) -> list[int]:
        rows = [
            (i, t.document, t.position or 0, self._tokens.ids(t.tokens, form, t.model_ids)) for i, t in enumerate(texts)
        ]
        self._tokens.store(session)
        self.longest = max(self.longest, *(len(row[3]) for row in rows))
        session.execute(_CREATE)
        columns = {"ordinal": "int4", "document": "text", "position": "int4", "token_ids": "int4[]"}
        copy_into(session, "new_excerpt", columns, rows)
        if any(t.document is not None for t in texts):
            session.execute(_DOCUMENTS, self._parameters)
        found = self._find(session)
        if missing := _missing(found):
            session.execute(_INSERT, {**self._parameters, "missing": missing})
            found = self._find(session)
        if missing := _missing(found):
            session.execute(_PUT_NOWHERE, {"missing": missing})
            session.execute(_INSERT, {**self._parameters, "missing": _missing(self._find(session))})
            found = self._find(session)
        session.execute(text("DROP TABLE new_excerpt"))
        return [int(excerpt_id) for excerpt_id in found if excerpt_id is not None]

    def _find(self, session: Session) -> list[int | None]:
        return [row.id for row in session.execute(_FIND, self._parameters)]


def _missing(found: Sequence[int | None]) -> list[int]:
    return [i for i, excerpt_id in enumerate(found) if excerpt_id is None]
