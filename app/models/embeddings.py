"""Embeddings of explanations and of searches, by the model that made them.

``explanation_embedding`` has a pgvector column, and not every database has pgvector. So the table is not part of the
migrations but is created when first needed (``app.queries.embeddings.tables``).
"""

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId, CreatedAt
from app.models.explanations import Explanation
from app.models.subjects import Neuron, Subject


class EmbeddingModel(Base):
    """A model that has made embeddings. Embeddings of two models are never compared.

    Of the models of one source, the one chosen last is in use: a folder's model may be replaced by another.
    """

    __tablename__ = "embedding_model"
    __table_args__ = (UniqueConstraint("source", "digest"),)

    id: Mapped[BigId]
    source: Mapped[str]
    """``EmbeddingSource.key``."""
    digest: Mapped[str]
    """Digest of a folder's weights, or of an endpoint's address and its model's name."""
    label: Mapped[str]
    dimensions: Mapped[int]
    chosen_at: Mapped[CreatedAt]


class QueryEmbedding(Base):
    """The embedding of a text that somebody searched for, scaled to length 1."""

    __tablename__ = "query_embedding"

    model_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("embedding_model.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256 of the text."""
    embedding: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    created_at: Mapped[CreatedAt]


EXPLANATION_EMBEDDINGS = Table(
    "explanation_embedding",
    MetaData(naming_convention=Base.metadata.naming_convention),
    Column("model_id", BigInteger, ForeignKey(EmbeddingModel.__table__.c.id, ondelete="CASCADE"), primary_key=True),
    Column("explanation_id", BigInteger, ForeignKey(Explanation.__table__.c.id), primary_key=True),
    Column("neuron_id", BigInteger, ForeignKey(Neuron.__table__.c.id), nullable=False),
    Column("subject_id", BigInteger, ForeignKey(Subject.__table__.c.id), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("embedding", HALFVEC(), nullable=False),
)
"""Embeddings of explanations, scaled to length 1. Equal texts, which have equal digests, are embedded once and copied.

Each model has its own index, since the number of dimensions differs by model.
"""
Index("ix_explanation_embedding_digest", EXPLANATION_EMBEDDINGS.c.model_id, EXPLANATION_EMBEDDINGS.c.digest)
Index("ix_explanation_embedding_subject", EXPLANATION_EMBEDDINGS.c.model_id, EXPLANATION_EMBEDDINGS.c.subject_id)
Index("ix_explanation_embedding_neuron", EXPLANATION_EMBEDDINGS.c.neuron_id, EXPLANATION_EMBEDDINGS.c.model_id)
