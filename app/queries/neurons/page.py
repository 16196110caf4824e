"""A neuron, its samples and its simulations, as its page shows them."""

from collections.abc import Collection as Ids
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, any_, bindparam, func, select, true
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER
from app.domain.sites import Site
from app.domain.token_table import STRONGEST_TOKENS
from app.errors import NotFound
from app.models import (
    CollectedNeuron,
    Collection,
    Corpus,
    Document,
    Excerpt,
    Neuron,
    Sample,
    Simulation,
    Subject,
    Tokenizer,
)
from app.queries.checks.page import CHECKS, StoredCheck, newest_check
from app.queries.common.prepared import PreparedSelect, labelled, one_round_trip, rows_of
from app.queries.doubts.shown import DOUBTS
from app.queries.neurons.claims import (
    EVENTS,
    EXPLANATIONS,
    RUNS,
    EventShown,
    ExplanationRow,
    RunShown,
    whole_explanations,
)
from app.queries.runs.active import n_active_runs


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
    current_simulator: str | None
    n_scored_in_layer: int
    """Neurons of its layer whose current score is by the same simulator, this one among them."""
    n_below_in_layer: int
    statistics: "NeuronStatistics"
    origin: "NeuronOrigin"

    @property
    def percentile(self) -> float | None:
        """Share of the neurons of its layer, scored by the same simulator, with a lower current score."""
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
    site: Site
    activation_function: str | None
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
    """A sample as it is stored."""

    kind: str
    collection_id: int
    excerpt_ids: list[int]
    activations: bytes


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """A neuron's statistics in a collection. The token lists are parallel, highest mean first."""

    n_alike: int | None
    stratum_sizes: list[int] | None
    token_ids: list[int]
    token_means: list[float]
    token_counts: list[int]

    @property
    def tokens(self) -> list[tuple[int, float, int]]:
        """(token id, mean activation, occurrences) of the strongest tokens."""
        return list(zip(self.token_ids, self.token_means, self.token_counts, strict=True))


@dataclass(frozen=True, slots=True)
class StoredSimulation:
    """A simulation as it is stored."""

    explanation_id: int
    simulator: str
    kind: str
    split: str
    collection_id: int | None
    unit: float
    """The activation, in the model's units, that 1 of ``expected`` corresponds to."""
    excerpt_ids: list[int]
    expected: bytes
    failures: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredExcerpt:
    """An excerpt's tokens, its document, and its position there in tokens."""

    id: int
    token_ids: list[int]
    document: str | None
    position: int


# What a head is made of, by the names of its fields: whole entities would take twice the time.
_HEAD_COLUMNS: dict[str, Any] = {
    "id": Neuron.id,
    "subject_id": Subject.id,
    "tokenizer_id": Subject.tokenizer_id,
    "collection_id": Subject.collection_id,
    "slug": Subject.slug,
    "subject": Subject.name,
    "layer": Neuron.layer,
    "index": Neuron.index,
    "n_layers": Subject.n_layers,
    "neurons_per_layer": Subject.neurons_per_layer,
    "n_explanations": Neuron.n_explanations,
    "n_open_flags": Neuron.n_open_flags,
    "n_active_runs": n_active_runs(),
    "current_explanation_id": Neuron.current_explanation_id,
    "current_score": Neuron.current_score,
    "current_simulator": Neuron.current_simulator,
}
_STATISTICS_COLUMNS = {field.name: getattr(Neuron, field.name) for field in fields(NeuronStatistics)}
_ORIGIN_COLUMNS: dict[str, Any] = {
    "source": Subject.source,
    "revision": Subject.revision,
    "weights_digest": Subject.weights_digest,
    "architecture": Subject.architecture,
    "site": Subject.site,
    "activation_function": Subject.activation_function,
    "dtype": func.coalesce(Collection.dtype, Subject.dtype),
    "bos_policy": Subject.bos_policy,
    "tokenizer": Tokenizer.name,
    "tokenizer_digest": Tokenizer.digest,
    "corpus": Corpus.name,
    "corpus_digest": Corpus.digest,
    "context_length": Collection.context_length,
    "tokens": Collection.tokens_done,
    "n_excerpts": Collection.n_excerpts,
    "code_version": Collection.code_version,
    "device": Collection.device,
    "collected_at": Collection.finished_at,
}


def _head_statement() -> Select[Any]:
    peer = aliased(Neuron)
    rank = (
        select(
            func.count(peer.current_score).label("n_scored_in_layer"),
            func.count().filter(peer.current_score < Neuron.current_score).label("n_below_in_layer"),
        )
        .where(
            peer.subject_id == Neuron.subject_id,
            peer.layer == Neuron.layer,
            peer.current_simulator == Neuron.current_simulator,
        )
        .lateral()
    )
    columns = [column.label(name) for name, column in _HEAD_COLUMNS.items()]
    parts = [*labelled("statistics", _STATISTICS_COLUMNS), *labelled("origin", _ORIGIN_COLUMNS)]
    return (
        select(*columns, rank, *parts)
        .select_from(Subject)
        .join(Neuron, Neuron.subject_id == Subject.id)
        .join(Tokenizer, Tokenizer.id == Subject.tokenizer_id)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .join(rank, true())
        .where(
            Subject.slug == bindparam("slug"),
            Neuron.layer == bindparam("layer"),
            Neuron.index == bindparam("index"),
        )
    )


# Statements are built once: building them costs more than running them.
_HEAD = PreparedSelect(NeuronHead, _head_statement())
_SIMULATIONS = PreparedSelect(
    StoredSimulation,
    select(
        Simulation.explanation_id,
        Simulation.simulator,
        Simulation.kind,
        Simulation.split,
        Simulation.collection_id,
        Simulation.unit,
        Simulation.excerpt_ids,
        Simulation.expected,
        Simulation.failures,
    )
    .where(Simulation.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger))))
    .order_by(Simulation.id),
)
_SAMPLES = PreparedSelect(
    StoredSample,
    select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == bindparam("neuron_id"),
        Sample.collection_id == any_(bindparam("collection_ids", type_=ARRAY(BigInteger))),
    ),
)
_FACTS = PreparedSelect(
    StoredFacts,
    select(
        CollectedNeuron.n_alike,
        CollectedNeuron.stratum_sizes,
        CollectedNeuron.token_ids[1:STRONGEST_TOKENS].label("token_ids"),
        CollectedNeuron.token_means[1:STRONGEST_TOKENS].label("token_means"),
        CollectedNeuron.token_counts[1:STRONGEST_TOKENS].label("token_counts"),
    ).where(
        CollectedNeuron.neuron_id == bindparam("neuron_id"),
        CollectedNeuron.collection_id == any_(bindparam("collection_ids", type_=ARRAY(BigInteger))),
    ),
)
_EXCERPTS = PreparedSelect(
    StoredExcerpt,
    select(Excerpt.id, Excerpt.token_ids, Document.name.label("document"), Excerpt.position)
    .outerjoin(Document, Document.id == Excerpt.document_id)
    .where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger)))),
)


def neuron_head(session: Session, *, slug: str, layer: int, index: int) -> NeuronHead:
    """The neuron at an address. One query. Raises NotFound, whose message names the valid range."""
    # A number that does not fit its column is no neuron, and Postgres would refuse to compare it.
    fits = layer <= BIGGEST_LAYER and index <= BIGGEST_INDEX
    rows = rows_of(session, _HEAD.given(slug=slug, layer=layer, index=index)) if fits else []
    if not rows:
        raise _not_found(session, slug)
    return rows[0]


def _not_found(session: Session, slug: str) -> NotFound:
    subject = session.scalar(select(Subject).where(Subject.slug == slug))
    if subject is None:
        return NotFound(f"There is no subject named {slug}.")
    return NotFound(
        f"{subject.name} has layers 0 to {subject.n_layers - 1} with neurons 0 to {subject.neurons_per_layer - 1};"
        " this one has not been collected or does not exist."
    )


@dataclass(frozen=True, slots=True)
class NeuronParts:
    """A neuron's explanations with what belongs to them, and the records on which it fires."""

    explanations: tuple[ExplanationRow, ...]
    runs: tuple[RunShown, ...]
    events: tuple[EventShown, ...]
    samples: tuple[StoredSample, ...]
    facts: StoredFacts | None
    simulations: tuple[StoredSimulation, ...]
    check: StoredCheck | None


def neuron_parts(session: Session, *, head: NeuronHead, explanation_id: int | None) -> NeuronParts:
    """What the page of a neuron shows, with the simulations and the check of one explanation. One round trip."""
    explanation_ids = [] if explanation_id is None else [explanation_id]
    collection_ids = [] if head.collection_id is None else [head.collection_id]
    with one_round_trip(session) as trip:
        explanations = trip.send(EXPLANATIONS.given(neuron_id=head.id))
        doubts = trip.send(DOUBTS.given(neuron_id=head.id))
        runs = trip.send(RUNS.given(neuron_id=head.id))
        events = trip.send(EVENTS.given(neuron_id=head.id))
        samples = trip.send(_SAMPLES.given(neuron_id=head.id, collection_ids=collection_ids))
        facts = trip.send(_FACTS.given(neuron_id=head.id, collection_ids=collection_ids))
        simulations = trip.send(_SIMULATIONS.given(explanation_ids=explanation_ids))
        checks = trip.send(CHECKS.given(explanation_id=explanation_id))
    return NeuronParts(
        explanations=whole_explanations(explanations.rows, doubts.rows),
        runs=tuple(runs.rows),
        events=tuple(events.rows),
        samples=tuple(samples.rows),
        facts=next(iter(facts.rows), None),
        simulations=tuple(simulations.rows),
        check=newest_check(checks.rows),
    )


def neuron_samples(session: Session, *, neuron_id: int, collection_ids: Ids[int]) -> tuple[StoredSample, ...]:
    """The samples of a neuron from these collections. One query."""
    return tuple(rows_of(session, _SAMPLES.given(neuron_id=neuron_id, collection_ids=sorted(collection_ids))))


def stored_simulations(session: Session, *, explanation_ids: Ids[int]) -> tuple[StoredSimulation, ...]:
    """What was simulated for these explanations, in the order in which it was stored. One query."""
    return tuple(rows_of(session, _SIMULATIONS.given(explanation_ids=sorted(explanation_ids))))


def stored_excerpts(session: Session, *, excerpt_ids: Ids[int]) -> dict[int, StoredExcerpt]:
    """Each excerpt by its id. One query."""
    rows = rows_of(session, _EXCERPTS.given(excerpt_ids=sorted(excerpt_ids)))
    return {row.id: row for row in rows}
