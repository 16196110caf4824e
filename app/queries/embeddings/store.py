"""Storage of embeddings: missing ones, known ones, new ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import BigInteger, LargeBinary, Select, delete, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from app.domain.arrays import Float32s
from app.domain.embeddings import EmbeddingSource
from app.errors import Conflict
from app.models import Explanation, Neuron
from app.models.embeddings import EXPLANATION_EMBEDDINGS, EmbeddingModel, QueryEmbedding
from app.queries.embeddings.tables import index_embeddings

KEEP_QUERIES_DAYS = 30
_STORED = EXPLANATION_EMBEDDINGS.c


@dataclass(frozen=True, slots=True)
class MissingText:
    """An explanation that has no embedding by a model."""

    explanation_id: int
    neuron_id: int
    text: str


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """An explanation with the digest of its text and its embedding, float32 [dimensions]."""

    explanation_id: int
    neuron_id: int
    digest: bytes
    embedding: Float32s


def model_of(session: Session, *, source: EmbeddingSource, digest: str) -> EmbeddingModel | None:
    """The model with this digest; None if it has made no embedding yet."""
    return session.scalar(
        select(EmbeddingModel).where(EmbeddingModel.source == source.key, EmbeddingModel.digest == digest)
    )


def choose_model(session: Session, *, source: EmbeddingSource, digest: str, dimensions: int) -> EmbeddingModel:
    """Make this model the one whose embeddings searches use. The table of embeddings must exist.

    Raises Conflict if the model's earlier embeddings have another number of dimensions.
    """
    values = {"source": source.key, "digest": digest, "label": source.label, "dimensions": dimensions}
    session.execute(pg_insert(EmbeddingModel).values(values).on_conflict_do_nothing())
    model = session.scalars(
        select(EmbeddingModel)
        .where(EmbeddingModel.source == source.key, EmbeddingModel.digest == digest)
        .with_for_update()
    ).one()
    if model.dimensions != dimensions:
        raise Conflict(
            f"The embeddings of {model.label} have {dimensions} numbers, and its earlier ones {model.dimensions}."
        )
    newer = select(func.max(EmbeddingModel.chosen_at)).where(EmbeddingModel.source == source.key).scalar_subquery()
    session.execute(
        update(EmbeddingModel)
        .where(EmbeddingModel.id == model.id, EmbeddingModel.chosen_at < newer)
        .values(chosen_at=func.clock_timestamp())
    )
    index_embeddings(session, model_id=model.id, dimensions=dimensions)
    return model


def newest_explanation_id(session: Session) -> int:
    """The highest id of an explanation; 0 if there is none."""
    return session.scalar(select(func.max(Explanation.id))) or 0


def missing_texts(
    session: Session, *, subject_id: int, model_id: int | None, after: int, size: int
) -> list[MissingText]:
    """Up to ``size`` explanations of a subject, of ids above ``after``, that have no embedding by the model.

    ``model_id`` is None for a model that has made no embedding yet.
    """
    rows = session.execute(
        _missing(subject_id, model_id)
        .add_columns(Explanation.id, Explanation.neuron_id, Explanation.text)
        .where(Explanation.id > after)
        .order_by(Explanation.id)
        .limit(size)
    )
    return [MissingText(*row) for row in rows]


def count_missing(session: Session, *, subject_id: int, model_id: int | None) -> int:
    """The number of a subject's explanations that have no embedding by the model."""
    return session.scalar(_missing(subject_id, model_id).add_columns(func.count())) or 0


def has_missing(session: Session, *, subject_id: int, model_id: int, above: int) -> bool:
    """Whether an explanation with an id above ``above`` has no embedding by the model."""
    some = _missing(subject_id, model_id).add_columns(literal(1)).where(Explanation.id > above).limit(1)
    return session.scalar(some) is not None


def _missing(subject_id: int, model_id: int | None) -> Select[()]:
    missing = select().select_from(Explanation).join(Neuron, Neuron.id == Explanation.neuron_id)
    missing = missing.where(Neuron.subject_id == subject_id)
    if model_id is None:
        return missing
    own = select(literal(1)).where(_STORED.model_id == model_id, _STORED.explanation_id == Explanation.id)
    return missing.where(~own.exists())


def copy_known(
    session: Session, *, model_id: int, subject_id: int, texts: Sequence[tuple[MissingText, bytes]]
) -> set[int]:
    """Copy the embeddings of texts that the model has already embedded elsewhere; returns their explanations' ids."""
    wanted = (
        func.unnest(
            literal([text.explanation_id for text, _ in texts], ARRAY(BigInteger)),
            literal([text.neuron_id for text, _ in texts], ARRAY(BigInteger)),
            literal([digest for _, digest in texts], ARRAY(LargeBinary)),
        )
        .table_valued("explanation_id", "neuron_id", "digest")
        .render_derived(name="wanted")
    )
    known = EXPLANATION_EMBEDDINGS.alias("known")
    same = (
        select(known.c.embedding)
        .where(known.c.model_id == model_id, known.c.digest == wanted.c.digest)
        .limit(1)
        .lateral("same")
    )
    copied = select(
        literal(model_id, BigInteger),
        wanted.c.explanation_id,
        wanted.c.neuron_id,
        literal(subject_id, BigInteger),
        wanted.c.digest,
        same.c.embedding,
    ).select_from(wanted.join(same, true()))
    names = ["model_id", "explanation_id", "neuron_id", "subject_id", "digest", "embedding"]
    statement = pg_insert(EXPLANATION_EMBEDDINGS).from_select(names, copied).on_conflict_do_nothing()
    return set(session.scalars(statement.returning(_STORED.explanation_id)))


def store_embeddings(session: Session, *, model_id: int, subject_id: int, rows: Sequence[EmbeddedText]) -> None:
    """Store embeddings of one model. Embeddings that are already stored stay unchanged."""
    values = [
        {
            "model_id": model_id,
            "explanation_id": row.explanation_id,
            "neuron_id": row.neuron_id,
            "subject_id": subject_id,
            "digest": row.digest,
            "embedding": row.embedding.tolist(),
        }
        for row in rows
    ]
    if values:
        session.execute(pg_insert(EXPLANATION_EMBEDDINGS).on_conflict_do_nothing(), values)


def store_query(session: Session, *, model_id: int, digest: bytes, embedding: Float32s) -> None:
    """Store the embedding of a searched text, float32 [dimensions]."""
    row = {"model_id": model_id, "digest": digest, "embedding": embedding.tolist()}
    session.execute(pg_insert(QueryEmbedding).values(row).on_conflict_do_nothing())


def delete_old_queries(session: Session) -> None:
    """Delete embeddings of old searches. A repeated search is embedded again."""
    too_old = QueryEmbedding.created_at < func.now() - timedelta(days=KEEP_QUERIES_DAYS)
    session.execute(delete(QueryEmbedding).where(too_old))
