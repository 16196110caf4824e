"""A pool of excerpts that represents a whole corpus, with every activation of some neurons, and draws from it.

Draws are those of a collection: the highest peaks, five bands of peaks, a uniform sample, each with its probability.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.arrays import Float32s, Float64s, Int32s, Int64s
from app.domain.executed import firing_threshold
from app.domain.samples import BAND_EDGES, BANDS, STRATA
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from worker.collection.nearest import MOST_TOKENS, profiles, unit_rows
from worker.collection.plan import Cut, Excerpts, prepare
from worker.collection.statistics import listed_tokens
from worker.corpora.corpus import open_corpus
from worker.method.contracts import NeuronTask
from worker.subjects.input_weights import input_weights
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

TOKENS = 64
PER_SAMPLE = 20
BATCH = 64
DEMO_MODEL = Path(__file__).resolve().parents[2] / "demo" / "model"
CORPUS = "demo:stdlib"
SLUG = "demo"


@dataclass(frozen=True, eq=False)
class Neuron:
    """One neuron on every excerpt of a pool, [E, T], in the model's own units."""

    number: int
    layer: int
    index: int
    activations: Float32s
    table: TokenTable
    """The neuron's token table over the pool, with the tokens that a collection lists."""
    firing: Float64s
    """What it does on each token on average, as ``worker.collection.nearest`` compares it: a unit vector."""
    weights: Float64s | None = None
    """Its input weights, a unit vector; None for a neuron that is made."""

    @cached_property
    def peaks(self) -> Float32s:
        """[E]."""
        return np.asarray(self.activations.max(axis=1))

    @cached_property
    def maximum(self) -> float:
        """Over the whole pool."""
        return float(self.activations.max())

    @property
    def firing_rate(self) -> float:
        """Share of tokens on which it fires, by the threshold of executed explanations."""
        return float((self.activations >= np.float32(firing_threshold(self.maximum))).mean())


@dataclass(frozen=True, eq=False)
class Pool:
    """Excerpts [E, T] and the neurons that are measured on them."""

    tokens: Int32s
    neurons: tuple[Neuron, ...]
    vocabulary: Vocabulary

    @cached_property
    def ordinals(self) -> Mapping[bytes, int]:
        """The excerpts by their text. Of two that are equal the last: their activations are equal as well."""
        return {row.tobytes(): ordinal for ordinal, row in enumerate(self.tokens)}

    def task(
        self, neuron: Neuron, *, seed: int, peer: Neuron | None = None, neighbours: Sequence[Neuron] = ()
    ) -> NeuronTask:
        """What a method is given of a neuron, by one draw."""
        return NeuronTask(
            neuron_id=neuron.number,
            subject=SLUG,
            layer=neuron.layer,
            index=neuron.index,
            records=self.records(neuron, seed=seed),
            vocabulary=self.vocabulary,
            peer=None if peer is None else self.records(peer, seed=seed),
            seed=seed,
            neighbours=tuple(self.records(other, seed=seed) for other in neighbours),
        )

    def records(self, neuron: Neuron, *, seed: int) -> NeuronRecords:
        """One draw of every sample, with probabilities, populations and the token table."""
        generator = np.random.default_rng((seed, neuron.number))
        strata = strata_of(neuron.peaks)
        random = generator.choice(len(self.tokens), size=min(PER_SAMPLE, len(self.tokens)), replace=False)
        uniform = len(random) / len(self.tokens)
        drawn, of_excerpt = {SampleKind.RANDOM: random}, np.zeros(len(self.tokens), dtype=np.int64)
        probability = {SampleKind.TOP: 1.0}
        for rank, (kind, own) in enumerate(strata.items()):
            of_excerpt[own] = rank
            n = min(PER_SAMPLE, len(own))
            if kind is SampleKind.TOP:
                drawn[kind] = own
                continue
            drawn[kind] = generator.choice(own, size=n, replace=False)
            by_band = n / len(own) if len(own) else 0.0
            probability[kind] = by_band + uniform - by_band * uniform
        kinds = tuple(strata)
        samples = {
            kind: tuple(
                ActivationRecord(
                    int(e), self.tokens[e], neuron.activations[e], kinds[of_excerpt[e]],
                    probability[kinds[of_excerpt[e]]],
                )
                for e in excerpts
            )
            for kind, excerpts in drawn.items()
        }  # fmt: skip
        return NeuronRecords(
            samples,
            maximum=neuron.maximum,
            mean=float(neuron.activations.mean(dtype=np.float64)),
            populations={**{kind: len(own) for kind, own in strata.items()}, SampleKind.RANDOM: len(self.tokens)},
            tokens=neuron.table,
        )


@dataclass(frozen=True)
class PoolSubject:
    """What a scorer may ask of the subject about its corpus, answered from a pool and the activations of a neuron."""

    pool: Pool
    neuron: Neuron
    slug: str = SLUG

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        """Up to ``n`` excerpts [T] of the pool, uniform without replacement."""
        n_excerpts = len(self.pool.tokens)
        chosen = np.random.default_rng(seed).choice(n_excerpts, size=min(n, n_excerpts), replace=False)
        return tuple(self.pool.tokens[np.sort(chosen)])

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        """The neuron's activations [T] on each of these excerpts of the pool. Raises KeyError for any other."""
        if (layer, index) != (self.neuron.layer, self.neuron.index):
            raise KeyError(f"neuron {layer}/{index} is not the one of these activations")
        return tuple(self.neuron.activations[self.pool.ordinals[ids.tobytes()]] for ids in excerpts)


def measured(
    number: int, address: tuple[int, int], activations: Float32s, tokens: Int32s, weights: Float64s | None = None
) -> Neuron:
    """A neuron at (layer, index) with its activations on all excerpts ``tokens``, [E, T] both."""
    flat, values = tokens.ravel(), activations.ravel().astype(np.float64)
    counts = np.bincount(flat)
    frequent_first = np.lexsort((np.arange(len(counts)), -counts))[: np.count_nonzero(counts)]
    sums: Float64s = np.bincount(flat, values)[frequent_first].astype(np.float64)
    means = sums / counts[frequent_first]
    (listed,), (own,) = (found.T for found in listed_tokens(means[:, None], counts[frequent_first]))
    token_ids = frequent_first[listed]
    table = TokenTable.of_corpus(
        token_ids.astype(np.int32), own, counts[token_ids], mean=float(values.mean()), n_tokens=len(values)
    )
    own_counts = counts[frequent_first][:MOST_TOKENS].astype(np.float64)
    (firing,) = profiles(sums[:MOST_TOKENS, None], own_counts)
    return Neuron(number, *address, activations, table, firing, weights)


def strata_of(peaks: Float32s) -> Mapping[SampleKind, Int64s]:
    """The excerpts of every stratum, the top sample's highest first. A stratum may be empty."""
    order = np.argsort(-peaks, kind="stable")
    top, rest = order[:PER_SAMPLE], order[PER_SAMPLE:]
    bands = np.searchsorted(np.quantile(peaks, BAND_EDGES), peaks[rest], side="right")
    return {STRATA[0]: top, **{kind: rest[bands == i] for i, kind in enumerate(BANDS)}}


def redrawn(records: NeuronRecords, scored: Mapping[SampleKind, Sequence[int]]) -> NeuronRecords:
    """The same records with other ones held out for scoring: the places of each sample that ``scored`` names."""
    splits = {
        kind: tuple(
            Split.VALIDATION if place in set(scored.get(kind, ())) else Split.TEST for place in range(len(rows))
        )
        for kind, rows in records.samples.items()
    }
    return replace(records, given_splits=splits)


def collect_pool(*, n_excerpts: int, n_neurons: int, seed: int, permutation_seed: int | None = None) -> Pool:
    """Run the demo model, or its null twin, on ``n_excerpts`` random excerpts of its corpus.

    ``n_neurons`` are drawn by chance over all layers, among those that fire.
    """
    subject = load_subject(
        str(DEMO_MODEL), LoadOptions(device="cpu", dtype="float32", permutation_seed=permutation_seed)
    )
    tokens = _tokens(subject, n_excerpts, seed)
    generator = np.random.default_rng((seed, 1))
    shape = (subject.info.n_layers, subject.info.neurons_per_layer)
    chosen = np.sort(
        generator.choice(
            shape[0] * shape[1], size=min(n_neurons + n_neurons // 5 + 1, shape[0] * shape[1]), replace=False
        )
    )
    layers, indexes = np.unravel_index(chosen, shape)
    values = _activations(subject, tokens, layers, indexes)
    weights = _weights(subject)
    neurons = [
        measured(
            number,
            (int(layers[number]), int(indexes[number])),
            values[number],
            tokens,
            weights[layers[number], indexes[number]],
        )
        for number in range(len(chosen))
        if values[number].max() > 0
    ]
    kept = sorted(generator.permutation(len(neurons))[:n_neurons].tolist())
    return Pool(tokens, tuple(neurons[i] for i in kept), subject.vocabulary)


def _weights(subject: LoadedSubject) -> Float64s:
    """The input weights of every neuron as unit vectors, [layers, neurons, D]."""
    found = [input_weights(subject, layer) for layer in range(subject.info.n_layers)]
    return np.stack([unit_rows(weights) for weights in found if weights is not None])


def _tokens(subject: LoadedSubject, n_excerpts: int, seed: int) -> Int32s:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        # Documents come in the order of their names: a pool of the first ones would be of a few packages alone.
        plan = prepare(home, open_corpus(CORPUS), subject.encode, Cut(TOKENS, None, 1024), lambda _n: None)
        n = min(n_excerpts, plan.n_excerpts)
        ordinals = np.random.default_rng(seed).choice(plan.n_excerpts, size=n, replace=False)
        return np.array(Excerpts(home, plan).tokens(np.sort(ordinals)))


def _activations(subject: LoadedSubject, tokens: Int32s, layers: Int64s, indexes: Int64s) -> Float32s:
    """[neurons, E, T]."""
    found = np.zeros((len(layers), *tokens.shape), dtype=np.float32)
    for first in range(0, len(tokens), BATCH):
        batch = tokens[first : first + BATCH]

        def keep(layer: int, values: torch.Tensor, first: int = first) -> None:
            own = np.flatnonzero(layers == layer)
            picked = values[:, :, torch.from_numpy(indexes[own])]
            found[own, first : first + picked.shape[0]] = picked.permute(2, 0, 1).float().numpy()

        with torch.inference_mode():
            subject.activations(torch.from_numpy(batch).long(), keep)
    return found
