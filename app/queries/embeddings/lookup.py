"""The embedding of a search, and how many of a subject's explanations are embedded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.embeddings import EmbeddingSource, text_digest
from app.domain.work import EMBEDDING, QUERY_EMBEDDING, WorkStatus
from app.models import Neuron, Subject, Task
from app.models.embeddings import EXPLANATION_EMBEDDINGS, EmbeddingModel, QueryEmbedding


@dataclass(frozen=True, slots=True)
class Nearness:
    """The vector with which explanations are compared: the embedding of a text by a model, scaled to length 1."""

    model_id: int
    vector: tuple[float, ...]

    @property
    def dimensions(self) -> int:
        """The number of dimensions of every embedding by the model."""
        return len(self.vector)


def nearness(session: Session, *, source: EmbeddingSource, text: str) -> Nearness | None:
    """The vector to compare explanations with; None if the model in use has not embedded the text. One query."""
    row = session.execute(
        select(QueryEmbedding.model_id, QueryEmbedding.embedding).where(
            QueryEmbedding.model_id == _model_in_use(source), QueryEmbedding.digest == text_digest(text)
        )
    ).first()
    return None if row is None else Nearness(row.model_id, tuple(row.embedding))


def model_in_use(session: Session, *, source: EmbeddingSource) -> EmbeddingModel | None:
    """The model whose embeddings searches use; None before the first embedding."""
    return session.scalar(select(EmbeddingModel).where(EmbeddingModel.id == _model_in_use(source)))


def _model_in_use(source: EmbeddingSource) -> Any:
    newest = (
        select(EmbeddingModel.id)
        .where(EmbeddingModel.source == source.key)
        .order_by(EmbeddingModel.chosen_at.desc(), EmbeddingModel.id.desc())
        .limit(1)
    )
    return newest.scalar_subquery()


@dataclass(frozen=True, slots=True)
class QueryTask:
    """The state of the task that embeds a search."""

    id: int
    status: WorkStatus
    error: str | None
    age_seconds: float
    """Seconds since the task was queued."""


def query_task(session: Session, *, task_id: int, source: EmbeddingSource, text: str) -> QueryTask | None:
    """The task of this id; None if it embeds another text or uses another model. One query."""
    row = session.execute(
        select(Task, func.extract("epoch", func.clock_timestamp() - Task.queued_at))
        .where(Task.id == task_id, Task.kind == QUERY_EMBEDDING.name)
        .execution_options(populate_existing=True)
    ).first()
    if row is None or (row.Task.parameters["source"], row.Task.parameters["text"]) != (source.key, text):
        return None
    task, age = row
    return QueryTask(task.id, WorkStatus(task.status), task.error, float(age))


@dataclass(frozen=True, slots=True)
class SubjectEmbeddings:
    """The number of a subject's explanations that the model in use has embedded, and its newest task."""

    subject_id: int
    slug: str
    name: str
    n_explanations: int
    n_embedded: int
    task_id: int | None
    status: WorkStatus | None
    progress: float
    error: str | None

    @property
    def is_active(self) -> bool:
        """Whether a task is queued or running."""
        return self.status is not None and self.status.is_active

    @property
    def is_complete(self) -> bool:
        """Whether every explanation is embedded."""
        return self.n_embedded >= self.n_explanations


def subject_embeddings(
    session: Session, *, model: EmbeddingModel | None, source: EmbeddingSource
) -> tuple[SubjectEmbeddings, ...]:
    """Every subject except null twins, newest first, with the number that the model has embedded. Two queries."""
    newest = (
        select(Task.subject_id, func.max(Task.id).label("task_id"))
        .where(Task.kind == EMBEDDING.name, Task.parameters["source"].as_string() == source.key)
        .group_by(Task.subject_id)
        .subquery()
    )
    written = (
        select(Neuron.subject_id, func.sum(Neuron.n_explanations).label("n")).group_by(Neuron.subject_id).subquery()
    )
    rows = session.execute(
        select(Subject.id, Subject.slug, Subject.name, func.coalesce(written.c.n, 0).label("n"), Task)
        .outerjoin(written, written.c.subject_id == Subject.id)
        .outerjoin(newest, newest.c.subject_id == Subject.id)
        .outerjoin(Task, Task.id == newest.c.task_id)
        .where(Subject.null_twin_of_id.is_(None))
        .order_by(Subject.id.desc())
        .execution_options(populate_existing=True)
    ).all()
    embedded = {} if model is None else _embedded(session, model.id)
    return tuple(
        SubjectEmbeddings(
            subject_id=row.id,
            slug=row.slug,
            name=row.name,
            n_explanations=int(row.n),
            n_embedded=embedded.get(row.id, 0),
            task_id=None if row.Task is None else row.Task.id,
            status=None if row.Task is None else WorkStatus(row.Task.status),
            progress=0.0 if row.Task is None else row.Task.progress,
            error=None if row.Task is None else row.Task.error,
        )
        for row in rows
    )


def _embedded(session: Session, model_id: int) -> Mapping[int, int]:
    """The number of embedded explanations by subject."""
    stored = EXPLANATION_EMBEDDINGS.c
    rows = session.execute(
        select(stored.subject_id, func.count()).where(stored.model_id == model_id).group_by(stored.subject_id)
    )
    return {row[0]: row[1] for row in rows}
