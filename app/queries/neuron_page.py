"""A neuron, its samples and its simulations, as its page shows them: a query each."""

from collections.abc import Collection as Ids
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, any_, bindparam, func, select
from sqlalchemy.orm import Session, aliased, defer

from app.errors import NotFound
from app.models import Collection, Corpus, Document, Excerpt, Neuron, Sample, Simulation, Subject, Tokenizer

BIGGEST_LAYER = 2**15 - 1
BIGGEST_INDEX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class NeuronHead:
    """A neuron with its statistics, its subject, and the collection that its samples come from."""

    id: int
    subject_id: int
    tokenizer_id: int
    collection_id: int | None
    slug: str
    subject: str
    layer: int
    index: int
    n_layers: int
    neurons_per_layer: int
    n_explanations: int
    n_open_flags: int
    n_active_runs: int
    current_explanation_id: int | None
    current_score: float | None
    n_scored_in_layer: int
    n_below_in_layer: int
    statistics: "NeuronStatistics"
    origin: "NeuronOrigin"

    @property
    def percentile(self) -> float | None:
        """Share of the scored neurons of its layer with a lower current score."""
        if self.current_score is None or not self.n_scored_in_layer:
            return None
        return self.n_below_in_layer / self.n_scored_in_layer


@dataclass(frozen=True, slots=True)
class NeuronStatistics:
    """Over every token of the corpus, in the model's own units."""

    mean: float | None
    variance: float | None
    skewness: float | None
    kurtosis: float | None
    min: float | None
    max: float | None
    firing_rate: float | None
    peak_quantiles: list[float] | None
    histogram_counts: list[int] | None
    histogram_edges: list[float] | None


@dataclass(frozen=True, slots=True)
class NeuronOrigin:
    """What the activations came from."""

    source: str
    revision: str | None
    weights_digest: str | None
    architecture: str
    site: str
    activation_function: str
    dtype: str
    bos_policy: str
    tokenizer: str
    tokenizer_digest: str
    corpus: str | None
    corpus_digest: str | None
    context_length: int | None
    tokens: int | None
    n_excerpts: int | None
    code_version: str | None
    device: str | None
    collected_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample as it lies in the database."""

    kind: str
    collection_id: int
    excerpt_ids: list[int]
    activations: bytes


@dataclass(frozen=True, slots=True)
class StoredSimulation:
    """A simulation as it lies in the database."""

    simulator: str
    kind: str
    split: str
    collection_id: int | None
    excerpt_ids: list[int]
    expected: bytes
    failures: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredExcerpt:
    """An excerpt's tokens and where they stand."""

    token_ids: list[int]
    document: str | None
    position: int


def _head_statement() -> Select[Any]:
    peer = aliased(Neuron)
    rank = (
        select(
            func.count(peer.current_score).label("n_scored"),
            func.count().filter(peer.current_score < Neuron.current_score).label("n_below"),
        )
        .where(peer.subject_id == Neuron.subject_id, peer.layer == Neuron.layer)
        .lateral()
    )
    return (
        select(Subject, Neuron, Collection, Tokenizer.name, Tokenizer.digest, Corpus.name, Corpus.digest, rank)
        .options(defer(Neuron.search), defer(Neuron.current_text))
        .join(Tokenizer, Tokenizer.id == Subject.tokenizer_id)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .outerjoin(
            Neuron,
            (Neuron.subject_id == Subject.id)
            & (Neuron.layer == bindparam("layer"))
            & (Neuron.index == bindparam("index")),
        )
        .outerjoin(rank, Neuron.id.is_not(None))
        .where(Subject.slug == bindparam("slug"))
    )


# Statements are built once: building them costs more than running them.
_HEAD = _head_statement()
_SIMULATIONS = (
    select(
        Simulation.simulator,
        Simulation.kind,
        Simulation.split,
        Simulation.collection_id,
        Simulation.excerpt_ids,
        Simulation.expected,
        Simulation.failures,
    )
    .where(Simulation.explanation_id == bindparam("explanation_id"))
    .order_by(Simulation.id)
)
_SAMPLES = select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(
    Sample.neuron_id == bindparam("neuron_id"),
    Sample.collection_id == any_(bindparam("collection_ids", type_=ARRAY(BigInteger))),
)
_EXCERPTS = (
    select(Excerpt.id, Excerpt.token_ids, Document.name, Excerpt.position)
    .outerjoin(Document, Document.id == Excerpt.document_id)
    .where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger))))
)


def neuron_head(session: Session, *, slug: str, layer: int, index: int) -> NeuronHead:
    """The neuron at an address. Raises NotFound, which says what there is instead. One query."""
    # A number that does not fit its column is no neuron, and Postgres would refuse to compare it.
    place = {"layer": layer if layer <= BIGGEST_LAYER else -1, "index": index if index <= BIGGEST_INDEX else -1}
    row = session.execute(_HEAD, {"slug": slug, **place}).first()
    if row is None:
        raise NotFound(f"There is no subject named {slug}.")
    subject, neuron, collection, tokenizer, tokenizer_digest, corpus, corpus_digest, n_scored, n_below = row
    if neuron is None:
        raise NotFound(
            f"{subject.name} has layers 0 to {subject.n_layers - 1}"
            f" with neurons 0 to {subject.neurons_per_layer - 1}; this one has not been collected or does not exist."
        )
    return NeuronHead(
        id=neuron.id,
        subject_id=subject.id,
        tokenizer_id=subject.tokenizer_id,
        collection_id=subject.collection_id,
        slug=subject.slug,
        subject=subject.name,
        layer=neuron.layer,
        index=neuron.index,
        n_layers=subject.n_layers,
        neurons_per_layer=subject.neurons_per_layer,
        n_explanations=neuron.n_explanations,
        n_open_flags=neuron.n_open_flags,
        n_active_runs=neuron.n_active_runs,
        current_explanation_id=neuron.current_explanation_id,
        current_score=neuron.current_score,
        n_scored_in_layer=n_scored,
        n_below_in_layer=n_below,
        statistics=_statistics(neuron),
        origin=_origin(subject, collection, (tokenizer, tokenizer_digest), (corpus, corpus_digest)),
    )


def _statistics(neuron: Neuron) -> NeuronStatistics:
    return NeuronStatistics(
        mean=neuron.mean,
        variance=neuron.variance,
        skewness=neuron.skewness,
        kurtosis=neuron.kurtosis,
        min=neuron.min,
        max=neuron.max,
        firing_rate=neuron.firing_rate,
        peak_quantiles=neuron.peak_quantiles,
        histogram_counts=neuron.histogram_counts,
        histogram_edges=neuron.histogram_edges,
    )


def _origin(
    subject: Subject,
    collection: Collection | None,
    tokenizer: tuple[str, str],
    corpus: tuple[str | None, str | None],
) -> NeuronOrigin:
    return NeuronOrigin(
        source=subject.source,
        revision=subject.revision,
        weights_digest=subject.weights_digest,
        architecture=subject.architecture,
        site=subject.site,
        activation_function=subject.activation_function,
        dtype=collection.dtype if collection is not None else subject.dtype,
        bos_policy=subject.bos_policy,
        tokenizer=tokenizer[0],
        tokenizer_digest=tokenizer[1],
        corpus=corpus[0],
        corpus_digest=corpus[1],
        context_length=collection.context_length if collection is not None else None,
        tokens=collection.tokens_done if collection is not None else None,
        n_excerpts=collection.n_excerpts if collection is not None else None,
        code_version=collection.code_version if collection is not None else None,
        device=collection.device if collection is not None else None,
        collected_at=collection.finished_at if collection is not None else None,
    )


def neuron_simulations(session: Session, *, explanation_id: int) -> tuple[StoredSimulation, ...]:
    """What was simulated for an explanation, in the order in which it was stored. One query."""
    return tuple(StoredSimulation(*row) for row in session.execute(_SIMULATIONS, {"explanation_id": explanation_id}))


def neuron_samples(session: Session, *, neuron_id: int, collection_ids: Ids[int]) -> tuple[StoredSample, ...]:
    """The samples of a neuron from these collections. One query."""
    rows = session.execute(_SAMPLES, {"neuron_id": neuron_id, "collection_ids": sorted(collection_ids)})
    return tuple(StoredSample(*row) for row in rows)


def stored_excerpts(session: Session, *, excerpt_ids: Ids[int]) -> dict[int, StoredExcerpt]:
    """Tokens and place of each excerpt, by id. One query."""
    rows = session.execute(_EXCERPTS, {"excerpt_ids": sorted(excerpt_ids)})
    return {row[0]: StoredExcerpt(row[1], row[2], row[3]) for row in rows}
