"""Explanations executed over a whole corpus: what they get right, and their mistakes. No row is ever updated."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.executed import Mistake
from app.models.base import Base, CreatedAt, one_of


class CorpusCheck(Base):
    """One explanation executed on every token of a collection's corpus; its correlation is a ``score``.

    Counts are of tokens: the neuron fires on ``n_firing``, the text claims ``n_claimed``, and on ``n_right`` both are
    true.
    """

    __tablename__ = "corpus_check"
    __table_args__ = (Index("ix_corpus_check_same_reading", "collection_id", text("md5(reading)")),)

    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("collection.id"), primary_key=True)
    reading: Mapped[str]
    """The claims that were executed, in the lexical language."""
    firing_level: Mapped[int] = mapped_column(SmallInteger)
    """The level, 0..10, from which a token counts as fired on and as claimed."""
    n_tokens: Mapped[int] = mapped_column(BigInteger)
    n_firing: Mapped[int] = mapped_column(BigInteger)
    n_claimed: Mapped[int] = mapped_column(BigInteger)
    n_right: Mapped[int] = mapped_column(BigInteger)
    precision: Mapped[float | None] = mapped_column(Computed("n_right::float8 / nullif(n_claimed, 0)", persisted=True))
    recall: Mapped[float | None] = mapped_column(Computed("n_right::float8 / nullif(n_firing, 0)", persisted=True))
    f1: Mapped[float | None] = mapped_column(
        Computed("2 * n_right::float8 / (nullif(n_firing, 0) + n_claimed)", persisted=True)
    )
    average_precision: Mapped[float | None]
    """NULL, like ``recall`` and ``f1``, if the neuron fires on no token."""
    code_version: Mapped[str]
    created_at: Mapped[CreatedAt]


class CheckMistake(Base):
    """An executed explanation's mistakes of one kind: the tokens with the most mistakes, and a few excerpts.

    ``token_ids`` and ``token_counts`` are parallel, most mistakes first; together with all other tokens they make
    ``n_tokens`` mistakes. ``activations`` and ``expected`` (0..10) are concatenated float16, in the order of
    ``excerpt_ids``.
    """

    __tablename__ = "check_mistake"
    __table_args__ = (
        one_of("kind", Mistake),
        ForeignKeyConstraint(
            ["explanation_id", "collection_id"], ["corpus_check.explanation_id", "corpus_check.collection_id"]
        ),
    )

    explanation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    collection_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    n_tokens: Mapped[int] = mapped_column(BigInteger)
    token_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    token_counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    excerpt_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    activations: Mapped[bytes] = mapped_column(LargeBinary)
    expected: Mapped[bytes] = mapped_column(LargeBinary)
