"""Store a finished state in the database, in the transaction of the given session."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy.orm import Session
from torch import Tensor

from app.domain.arrays import Float64s, Int64s
from app.queries.subjects import collections as stored
from worker.collection.best import Best
from worker.collection.draw import LayerDraw, Records, draw_layer
from worker.collection.lookalikes import lookalike_records
from worker.collection.nearest import layer_nearest
from worker.collection.passes import Pass
from worker.collection.plan import Excerpts
from worker.collection.state import State, layer_bounds
from worker.collection.statistics import LayerStatistics, LayerTokens, layer_statistics, layer_tokens

InputWeights: TypeAlias = Callable[[int], Float64s | None]
"""Function from a layer to its neurons' input weights [N, D]; None if they have none."""
EXCERPTS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of the rows to which a collection belongs."""

    collection_id: int
    subject_id: int
    corpus_id: int
    tokenizer_id: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished pass, ready to be stored."""

    state: State
    bounds: dict[str, Tensor]
    work: Pass
    lookalikes: Sequence[Best] = ()
    """Look-alikes by layer; see ``lookalikes``."""
    input_weights: InputWeights = lambda _layer: None

    def statistics(self, layer: int) -> LayerStatistics:
        """The statistics of one layer."""
        return layer_statistics(self.state, layer_bounds(self.bounds, layer), layer)

    def tokens(self, layer: int) -> LayerTokens:
        """The strongest tokens of one layer's neurons."""
        return layer_tokens(self.state, layer_bounds(self.bounds, layer), layer, self.work.token_rows)

    def nearest(self, layer: int) -> list[list[int]]:
        """The most similar neurons of each neuron of one layer."""
        known = self.tokens(layer).known
        return layer_nearest(self.state, layer, self.work.token_rows, known, self.input_weights(layer))

    def draw(self, layer: int) -> LayerDraw:
        """The samples of one layer except the hard negatives."""
        bounds = layer_bounds(self.bounds, layer)
        return draw_layer(self.state, bounds, layer, self.work.excerpts, self.work.sampling)

    def records(self, layer: int, draw: LayerDraw) -> list[Records]:
        """All samples of one layer."""
        return [*draw.samples, lookalike_records(self.lookalikes[layer], draw, self.work.excerpts)]


def publish(
    session: Session, finished: Finished, identity: Identity, notes: list[str], tell: Callable[[int], None]
) -> None:
    """Store documents, excerpts, neurons and samples, and make the collection the one that is shown.

    Works layer by layer, so that only the state and one layer are in memory. Raises CollectionError if the collection
    is no longer running.
    """
    shape = finished.state.shape
    ordinals, ids = _store_excerpts(session, finished, identity)
    neuron_ids = stored.store_neurons(
        session,
        subject_id=identity.subject_id,
        shape=(shape.n_layers, shape.neurons),
        rows=(row for layer in range(shape.n_layers) for row in _neuron_rows(layer, finished.statistics(layer))),
    )
    for layer in range(shape.n_layers):
        draw = finished.draw(layer)
        rows = _collected_rows(finished, layer, draw, neuron_ids[layer], identity.collection_id)
        stored.store_collected_neurons(session, rows=rows)
        for records in finished.records(layer, draw):
            excerpt_ids = ids[np.searchsorted(ordinals, np.maximum(records.ordinals, ordinals[0]))]
            rows = _sample_rows(records, neuron_ids[layer], excerpt_ids, identity.collection_id)
            stored.store_samples(session, rows=rows)
        tell(layer + 1)
    stored.complete_collection(
        session,
        collection_id=identity.collection_id,
        values={
            "tokens_done": finished.state.excerpts * shape.tokens,
            "n_excerpts": finished.state.excerpts,
            "n_copies": finished.work.plan.n_copies,
            "notes": notes,
        },
    )


def _store_excerpts(session: Session, finished: Finished, identity: Identity) -> tuple[Int64s, Int64s]:
    """The excerpts that any sample refers to, with their documents."""
    used = [
        np.unique(records.ordinals)
        for layer in range(finished.state.shape.n_layers)
        for records in finished.records(layer, finished.draw(layer))
    ]
    ordinals = np.unique(np.concatenate(used))
    return store_excerpts(session, finished.work.excerpts, ordinals[ordinals >= 0], identity)


def store_excerpts(session: Session, excerpts: Excerpts, ordinals: Int64s, identity: Identity) -> tuple[Int64s, Int64s]:
    """Store excerpts of the corpus with their documents, if they are not stored yet.

    Returns their ordinals, ascending, and the ids to them.
    """
    documents = {int(d) for d in excerpts.positions(ordinals)[:, 0]}
    stored.store_documents(session, corpus_id=identity.corpus_id, documents=excerpts.documents(documents))
    return stored.store_excerpts(
        session,
        corpus_id=identity.corpus_id,
        tokenizer_id=identity.tokenizer_id,
        excerpts=_excerpt_rows(excerpts, ordinals),
    )


def _excerpt_rows(excerpts: Excerpts, ordinals: Int64s) -> Iterator[stored.ExcerptRow]:
    for first in range(0, len(ordinals), EXCERPTS_AT_ONCE):
        part = ordinals[first : first + EXCERPTS_AT_ONCE]
        positions, tokens = excerpts.positions(part).tolist(), excerpts.tokens(part).tolist()
        for ordinal, (document, position), token_ids in zip(part.tolist(), positions, tokens, strict=True):
            yield stored.ExcerptRow(ordinal, document, position, token_ids)


def _neuron_rows(layer: int, statistics: LayerStatistics) -> Iterator[tuple[Any, ...]]:
    """Statistics that do not exist are NULL, such as the skewness of a neuron that never varies."""
    moments = (statistics.mean, statistics.variance, statistics.skewness, statistics.kurtosis)
    ranges = (statistics.minimum, statistics.maximum, statistics.firing_rate)
    scalars = np.stack([*moments, *ranges], axis=1).tolist()
    quantiles = statistics.peak_quantiles.tolist()
    counts, edges = statistics.histogram_counts.tolist(), statistics.histogram_edges.tolist()
    for index, values in enumerate(scalars):
        known = (value if np.isfinite(value) else None for value in values)
        yield (layer, index, *known, quantiles[index], counts[index], edges[index])


def _collected_rows(
    finished: Finished, layer: int, draw: LayerDraw, neuron_ids: Int64s, collection_id: int
) -> Iterator[tuple[Any, ...]]:
    """The row of each neuron in the collection, without tokens if these are not known."""
    statistics, tokens, nearest = finished.statistics(layer), finished.tokens(layer), finished.nearest(layer)
    scalars = np.stack([statistics.mean, statistics.variance, statistics.maximum], axis=1).tolist()
    alike, edges, sizes = draw.n_alike.tolist(), draw.band_edges.tolist(), draw.stratum_sizes.tolist()
    ids, means, counts = tokens.token_ids.tolist(), tokens.means.tolist(), tokens.counts.tolist()
    known = tokens.known.tolist()
    for neuron, neuron_id in enumerate(neuron_ids.tolist()):
        listed = (ids[neuron], means[neuron], counts[neuron]) if known[neuron] else ([], [], [])
        drawn = (alike[neuron], edges[neuron], sizes[neuron])
        yield (neuron_id, collection_id, *scalars[neuron], *drawn, *listed, nearest[neuron])


def _sample_rows(
    records: Records, neuron_ids: Int64s, excerpt_ids: Int64s, collection_id: int
) -> Iterator[tuple[Any, ...]]:
    """A row for each neuron that has an excerpt of this kind."""
    sizes = records.there.sum(axis=1).tolist()
    ids, peaks = excerpt_ids.tolist(), records.peaks.tolist()
    values = records.values.astype("<f2")
    known = None if records.probabilities is None else records.probabilities.tolist()
    for neuron, (neuron_id, size) in enumerate(zip(neuron_ids.tolist(), sizes, strict=True)):
        if size:
            packed = values[neuron, :size].tobytes()
            drawn = None if known is None else known[neuron][:size]
            kept = (ids[neuron][:size], packed, peaks[neuron][:size], drawn)
            yield (neuron_id, collection_id, str(records.kind), *kept)
