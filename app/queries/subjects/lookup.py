"""Subjects as pages name them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ScalarSelect, Select, bindparam, case, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, aliased

from app.domain.collections import CollectionStatus
from app.domain.sites import Site
from app.errors import NotFound
from app.models import Collection, Corpus, Neuron, Subject
from app.queries.common.prepared import PreparedSelect, rows_of


@dataclass(frozen=True, slots=True)
class SubjectHead:
    """The heading of the list of a subject's neurons."""

    id: int
    slug: str
    name: str
    architecture: str
    site: Site
    activation_function: str | None
    n_layers: int
    neurons_per_layer: int
    corpus: str | None
    """The corpus of the collection that is shown; None before the first is complete."""
    tokens: int | None
    has_headlines: bool
    """Whether any neuron has a score over the whole corpus."""
    twin: str | None
    """The slug of the subject's null twin."""
    twin_of: str | None
    """The slug of the subject whose null twin it is."""
    others: list[str]
    """The subject's other complete collections. Two of one corpus differ by their number of tokens."""
    notes: list[str] | None
    """Notes on that collection for the reader: documents left out, unused weights."""


@dataclass(frozen=True, slots=True)
class SubjectName:
    """A subject in a choice of several. Its slug is added to its name if another one has the same name."""

    id: int
    slug: str
    name: str


def subject_names(session: Session) -> tuple[SubjectName, ...]:
    """All subjects, the newest first, null twins last."""
    is_twin = Subject.null_twin_of_id.is_not(None)
    rows = session.execute(select(Subject.id, Subject.slug, Subject.name).order_by(is_twin, Subject.id.desc()))
    found = rows.all()
    uses = Counter(row.name for row in found)
    return tuple(
        SubjectName(row.id, row.slug, row.name if uses[row.name] == 1 else f"{row.name} ({row.slug})") for row in found
    )


def one_of(names: Sequence[SubjectName], slug: str) -> SubjectName:
    """The subject of this slug among ``names``. Raises NotFound."""
    found = next((each for each in names if each.slug == slug), None)
    if found is None:
        raise NotFound("There is no such subject. The first page lists those there are.")
    return found


def named_subject(session: Session, *, slug: str) -> SubjectName:
    """The subject of this slug. Raises NotFound."""
    row = session.execute(select(Subject.id, Subject.slug, Subject.name).where(Subject.slug == slug)).first()
    if row is None:
        raise NotFound("There is no such subject. The first page lists those there are.")
    return SubjectName(row.id, row.slug, row.name)


@dataclass(frozen=True, slots=True)
class StoredSubject:
    """The data needed to load a subject as it was collected.

    ``dtype`` and ``context_length`` are those of the collection that is shown.
    """

    slug: str
    source: str
    revision: str | None
    weights_digest: str | None
    site: Site
    dtype: str
    bos_policy: str
    permutation_seed: int | None
    context_length: int


def stored_subject(session: Session, *, slug: str) -> StoredSubject:
    """The subject of this slug, to be loaded. Raises NotFound for an unknown slug, or without a complete collection."""
    row = session.execute(
        select(Subject, Collection.context_length, Collection.dtype)
        .join(Collection, Collection.id == Subject.collection_id)
        .where(Subject.slug == slug)
    ).first()
    if row is None:
        raise NotFound(f"There is no subject {slug!r} with a complete collection.")
    subject: Subject = row.Subject
    return StoredSubject(
        slug=subject.slug,
        source=subject.source,
        revision=subject.revision,
        weights_digest=subject.weights_digest,
        site=Site.from_json(subject.site),
        dtype=row.dtype,
        bos_policy=subject.bos_policy,
        permutation_seed=subject.permutation_seed,
        context_length=row.context_length,
    )


def _of_slug() -> Select[*tuple[Any, ...]]:
    twin, original = aliased(Subject), aliased(Subject)
    has_headlines = exists().where(Neuron.subject_id == Subject.id, Neuron.headline_score.is_not(None))
    return (
        select(
            Subject.id,
            Subject.slug,
            Subject.name,
            Subject.architecture,
            Subject.site,
            Subject.activation_function,
            Subject.n_layers,
            Subject.neurons_per_layer,
            Corpus.name.label("corpus"),
            Collection.tokens_done.label("tokens"),
            has_headlines.label("has_headlines"),
            select(func.max(twin.slug)).where(twin.null_twin_of_id == Subject.id).scalar_subquery().label("twin"),
            select(original.slug).where(original.id == Subject.null_twin_of_id).scalar_subquery().label("twin_of"),
            func.coalesce(_other_collections(), literal_column("'{}'")).label("others"),
            Collection.notes,
        )
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .where(Subject.slug == bindparam("slug"))
    )


def _other_collections() -> ScalarSelect[list[str] | None]:
    """A subject's complete collections except the one shown, oldest first: corpus and, if counted, tokens."""
    other, corpus = aliased(Collection), aliased(Corpus)
    tokens = func.to_char(other.tokens_done, "FM999,999,999,999")
    name = case((other.tokens_done > 0, func.concat(corpus.name, " (", tokens, " tokens)")), else_=corpus.name)
    return (
        select(func.array_agg(aggregate_order_by(name, other.id)))
        .select_from(other)
        .join(corpus, corpus.id == other.corpus_id)
        .where(
            other.subject_id == Subject.id,
            other.status == CollectionStatus.COMPLETE,
            other.id != Subject.collection_id,
        )
        .correlate(Subject)
        .scalar_subquery()
    )


SUBJECT_HEADS = PreparedSelect(SubjectHead, _of_slug())
"""The subject with this slug."""


def subject_head(session: Session, *, slug: str) -> SubjectHead:
    """The subject of this slug. One query. Raises NotFound."""
    return one_subject(rows_of(session, SUBJECT_HEADS.given(slug=slug)))


def one_subject(found: Sequence[SubjectHead]) -> SubjectHead:
    """The subject found by ``SUBJECT_HEADS``. Raises NotFound."""
    if not found:
        raise NotFound("There is no such subject. The first page lists those there are.")
    return found[0]
