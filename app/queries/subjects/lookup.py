"""Subjects as pages name them."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Collection, Corpus, Subject


@dataclass(frozen=True, slots=True)
class SubjectHead:
    """What stands above the list of a subject's neurons."""

    id: int
    slug: str
    name: str
    architecture: str
    activation_function: str
    n_layers: int
    neurons_per_layer: int
    corpus: str | None
    """Of the collection that is shown; None before the first is complete."""
    tokens: int | None


def subject_head(session: Session, *, slug: str) -> SubjectHead:
    """The subject of this slug. Raises NotFound."""
    row = session.execute(
        select(Subject, Corpus.name.label("corpus"), Collection.tokens_done)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .where(Subject.slug == slug)
    ).first()
    if row is None:
        raise NotFound("There is no such subject. The first page lists those there are.")
    subject: Subject = row.Subject
    return SubjectHead(
        id=subject.id,
        slug=subject.slug,
        name=subject.name,
        architecture=subject.architecture,
        activation_function=subject.activation_function,
        n_layers=subject.n_layers,
        neurons_per_layer=subject.neurons_per_layer,
        corpus=row.corpus,
        tokens=row.tokens_done,
    )
