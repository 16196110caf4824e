"""A neuron's identity, its statistics and the ranks of its scores, as every page about the neuron needs them."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Select, bindparam, case, func, literal_column, select, true
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER
from app.domain.sites import Site
from app.errors import NotFound
from app.models import Collection, Corpus, Neuron, Subject, Tokenizer
from app.queries.common.prepared import PreparedSelect, labelled, rows_of
from app.queries.neurons.order import SortedValues
from app.queries.neurons.ranks import is_newest_twin, rank_in
from app.queries.runs.active import has_found_nothing, n_active_runs
from app.queries.subjects.null_twins import TwinStanding


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
    found_nothing: bool
    """Whether a run of a method found nothing worth saying."""
    current_explanation_id: int | None
    current_score: float | None
    """The 2023 score of the current explanation."""
    n_scored_in_layer: int
    """Number of neurons of its layer scored by the headline's scorer and simulator, this one included."""
    n_below_in_layer: int
    twin: TwinStanding | None
    """The rank of its headline in the null twin; None without a score or without comparable scores of the twin."""
    statistics: "NeuronStatistics"
    origin: "NeuronOrigin"
    sorted_by: Annotated[SortedValues, Field(exclude=True)]
    """The values of the list's sort keys, which the page's JSON leaves out."""

    @property
    def percentile(self) -> float | None:
        """Share of the comparable scores of its layer that are lower; None if the neuron has no defined score."""
        return self.n_below_in_layer / self.n_scored_in_layer if self.n_scored_in_layer else None


@dataclass(frozen=True, slots=True)
class NeuronStatistics:
    """Statistics over every token of the corpus, in the model's own units."""

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
    """The collection from which the activations come."""

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


# The columns of a head, named like its fields: loading whole entities would take twice the time.
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
    "found_nothing": has_found_nothing(),
    "current_explanation_id": Neuron.current_explanation_id,
    "current_score": Neuron.current_score,
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


_SORTED_COLUMNS = {field.name: getattr(Neuron, field.name) for field in fields(SortedValues)}


def _head_statement() -> Select[Any]:
    twin = aliased(Subject)
    in_layer, in_twin = rank_in(Neuron.subject_id, "in_layer"), rank_in(twin.id, "in_twin")
    columns = [column.label(name) for name, column in _HEAD_COLUMNS.items()]
    ranks = [in_layer.c.n.label("n_scored_in_layer"), in_layer.c.n_below.label("n_below_in_layer")]
    slug = case((in_twin.c.n > literal_column("0"), twin.slug))  # no neuron of the twin has a comparable score: no rank
    standing = {"slug": slug, "n_scored": in_twin.c.n, "n_at_least": in_twin.c.n - in_twin.c.n_below}
    parts = [
        *labelled("statistics", _STATISTICS_COLUMNS),
        *labelled("origin", _ORIGIN_COLUMNS),
        *labelled("sorted_by", _SORTED_COLUMNS),
    ]
    return (
        select(*columns, *ranks, *labelled("twin", standing), *parts)
        .select_from(Subject)
        .join(Neuron, Neuron.subject_id == Subject.id)
        .join(Tokenizer, Tokenizer.id == Subject.tokenizer_id)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .outerjoin(twin, is_newest_twin(twin))
        .join(in_layer, true())
        .join(in_twin, true())
        .where(
            Subject.slug == bindparam("slug"),
            Neuron.layer == bindparam("layer"),
            Neuron.index == bindparam("index"),
        )
    )


# Built once at import: building the statement takes longer than executing it.
_HEAD = PreparedSelect(NeuronHead, _head_statement())


def neuron_head(session: Session, *, slug: str, layer: int, index: int) -> NeuronHead:
    """The neuron at (layer, index) of a subject. One query. Raises NotFound, whose message has the valid range."""
    # Postgres refuses to compare a number that does not fit the column.
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
