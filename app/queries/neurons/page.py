"""A neuron, its samples and its simulations, as its page shows them."""

from collections.abc import Collection as Ids
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, any_, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER
from app.domain.sites import Site
from app.errors import NotFound
from app.models import Collection, Corpus, Document, Excerpt, Neuron, Sample, Simulation, Subject, Tokenizer
from app.queries.common.prepared import Columns, Rows, rows_of
from app.queries.neurons.claims import (
    CANDIDATES,
    EVENTS,
    RUNS,
    CandidateRow,
    EventShown,
    RunShown,
    read_candidates,
    read_events,
    read_runs,
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
    unit: float
    """The activation, in the model's units, that 1 of ``expected`` stands for."""
    excerpt_ids: list[int]
    expected: bytes
    failures: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredExcerpt:
    """An excerpt's tokens and where they stand."""

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
    return (
        select(*_HEAD_COLUMNS.values(), rank, *_STATISTICS_COLUMNS.values(), *_ORIGIN_COLUMNS.values())
        .select_from(Subject)
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
_HEAD = Columns(_head_statement())
_SIMULATIONS = Columns(
    select(
        Simulation.simulator,
        Simulation.kind,
        Simulation.split,
        Simulation.collection_id,
        Simulation.unit,
        Simulation.excerpt_ids,
        Simulation.expected,
        Simulation.failures,
    )
    .where(Simulation.explanation_id == bindparam("explanation_id"))
    .order_by(Simulation.id)
)
_SAMPLES = Columns(
    select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == bindparam("neuron_id"),
        Sample.collection_id == any_(bindparam("collection_ids", type_=ARRAY(BigInteger))),
    )
)
_EXCERPTS = Columns(
    select(Excerpt.id, Excerpt.token_ids, Document.name, Excerpt.position)
    .outerjoin(Document, Document.id == Excerpt.document_id)
    .where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger))))
)


def neuron_head(session: Session, *, slug: str, layer: int, index: int) -> NeuronHead:
    """The neuron at an address. Raises NotFound, which says what there is instead. One query."""
    # A number that does not fit its column is no neuron, and Postgres would refuse to compare it.
    place = {"layer": layer if layer <= BIGGEST_LAYER else -1, "index": index if index <= BIGGEST_INDEX else -1}
    (rows,) = rows_of(session, _HEAD.given(slug=slug, **place))
    if not rows:
        raise NotFound(f"There is no subject named {slug}.")
    values = iter(rows[0])
    head = {name: next(values) for name in (*_HEAD_COLUMNS, "n_scored_in_layer", "n_below_in_layer")}
    if head["id"] is None:
        raise NotFound(
            f"{head['subject']} has layers 0 to {head['n_layers'] - 1} with neurons"
            f" 0 to {head['neurons_per_layer'] - 1}; this one has not been collected or does not exist."
        )
    statistics = NeuronStatistics(**{name: next(values) for name in _STATISTICS_COLUMNS})
    origin = {name: next(values) for name in _ORIGIN_COLUMNS}
    origin["site"] = Site.from_json(origin["site"])
    return NeuronHead(**head, statistics=statistics, origin=NeuronOrigin(**origin))


@dataclass(frozen=True, slots=True)
class NeuronParts:
    """All that is said about a neuron, and where it fires."""

    candidates: tuple[CandidateRow, ...]
    runs: tuple[RunShown, ...]
    events: tuple[EventShown, ...]
    samples: tuple[StoredSample, ...]
    simulations: tuple[StoredSimulation, ...]


def neuron_parts(session: Session, *, head: NeuronHead, explanation_id: int | None) -> NeuronParts:
    """What the page of a neuron shows, with the simulations of one explanation. One round trip."""
    candidates, runs, events, samples, simulations = rows_of(
        session,
        CANDIDATES.given(neuron_id=head.id),
        RUNS.given(neuron_id=head.id),
        EVENTS.given(neuron_id=head.id),
        _SAMPLES.given(neuron_id=head.id, collection_ids=[head.collection_id]),
        _SIMULATIONS.given(explanation_id=explanation_id),
    )
    return NeuronParts(
        candidates=read_candidates(candidates),
        runs=read_runs(runs),
        events=read_events(events),
        samples=_read_samples(samples),
        simulations=tuple(StoredSimulation(*row) for row in simulations),
    )


def neuron_samples(session: Session, *, neuron_id: int, collection_ids: Ids[int]) -> tuple[StoredSample, ...]:
    """The samples of a neuron from these collections. One query."""
    asked = _SAMPLES.given(neuron_id=neuron_id, collection_ids=sorted(collection_ids))
    return _read_samples(*rows_of(session, asked))


def _read_samples(rows: Rows) -> tuple[StoredSample, ...]:
    return tuple(StoredSample(*row) for row in rows)


def stored_excerpts(session: Session, *, excerpt_ids: Ids[int]) -> dict[int, StoredExcerpt]:
    """Tokens and place of each excerpt, by id. One query."""
    (rows,) = rows_of(session, _EXCERPTS.given(excerpt_ids=sorted(excerpt_ids)))
    return {row[0]: StoredExcerpt(row[1], row[2], row[3]) for row in rows}
