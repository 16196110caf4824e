"""Tokens and text: tokenizers, vocabularies, corpora, documents, excerpts."""

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId


class Tokenizer(Base):
    __tablename__ = "tokenizer"

    id: Mapped[BigId]
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


class VocabularyToken(Base):
    __tablename__ = "vocabulary"

    tokenizer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tokenizer.id"), primary_key=True)
    token_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    bytes: Mapped[bytes]
    model_id: Mapped[int | None]
    """The token's id in the model's own tokenizer, if an imported file gives it; an import numbers tokens itself."""


class Corpus(Base):
    __tablename__ = "corpus"

    id: Mapped[BigId]
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    source: Mapped[str]


class Document(Base):
    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("corpus_id", "ordinal"),
        Index("ix_document_name", "corpus_id", text("hashtextextended(name, 0)")),  # imports look it up by this
    )

    id: Mapped[BigId]
    corpus_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("corpus.id"))
    ordinal: Mapped[int]
    name: Mapped[str]
    byte_offset: Mapped[int | None] = mapped_column(BigInteger)


class Excerpt(Base):
    """A window of consecutive tokens of one document. ``position`` is its first token's index in the document."""

    __tablename__ = "excerpt"
    __table_args__ = (
        UniqueConstraint("document_id", "tokenizer_id", "position", "length"),
        # Imports look up excerpts of no known document by this.
        Index(
            "ix_excerpt_text",
            "corpus_id",
            text("hash_array_extended(token_ids, 0)"),
            postgresql_where=text("document_id IS NULL"),
        ),
    )

    id: Mapped[BigId]
    corpus_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("corpus.id"))
    document_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("document.id"))
    tokenizer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tokenizer.id"))
    position: Mapped[int]
    length: Mapped[int]
    token_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer))
