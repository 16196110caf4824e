"""Chunks of synthetic neurons: each likes one token, fires on it with noise around it, and its explanation says so."""

from dataclasses import dataclass

import numpy as np
import psycopg

from app.domain.activations import SampleKind
from app.domain.arrays import Bools, Float16s, Float64s, Int64s
from benchmarks.binary_copy import FLOAT4_OID, INT8_OID, Bytes, arrays, copy_rows, numbers, raw, words
from benchmarks.synthetic_activations import SAMPLE_SIZES, VALIDATION, Drawn
from benchmarks.synthetic_text import Text

SHARE_UNEXPLAINED = 0.1
RANDOM_SCORES = 10_000_000
"""Ids of the second score of each explanation start here; those of the first are the explanation's."""


@dataclass(frozen=True, slots=True)
class Ids:
    """The rows that all neurons share."""

    subject: int
    collection: int
    method: int
    account: int
    first_excerpt: int


@dataclass(frozen=True, slots=True)
class Filler:
    """What a chunk of neurons is made from."""

    connection: psycopg.Connection
    drawn: Drawn
    ids: Ids
    random: np.random.Generator
    neurons_per_layer: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some neurons: their numbers (ids are one more), the tokens they like, how strong they get."""

    numbers: Int64s
    liked: Int64s
    maxima: Float64s

    @property
    def ids(self) -> Int64s:
        return self.numbers + 1


def make_filler(connection: psycopg.Connection, text: Text, ids: Ids, seed: int, neurons_per_layer: int) -> Filler:
    return Filler(connection, Drawn.of(text), ids, np.random.default_rng(seed), neurons_per_layer)


def write_chunk(filler: Filler, places: Int64s) -> None:
    n = len(places)
    chunk = Chunk(places, *filler.drawn.neurons(filler.random, n))
    explained = filler.random.random(n) >= SHARE_UNEXPLAINED
    scores = np.clip(filler.random.beta(1.3, 3.0, n), 0.001, 0.98)
    texts = [filler.drawn.sentence(filler.random, token) for token in chunk.liked]
    for mask in (explained, ~explained):
        _write_neurons(filler, chunk, mask, scores if mask is explained else None, texts)
    simulated = {}
    for kind in SAMPLE_SIZES:
        excerpts, activations = filler.drawn.sample(filler.random, kind, chunk.liked, chunk.maxima)
        _write_sample(filler, chunk, kind, excerpts, activations)
        if kind in VALIDATION:
            simulated[kind] = (excerpts[:, VALIDATION[kind]], activations[:, VALIDATION[kind]])
    _write_explanations(filler, chunk, explained, scores, texts)
    for kind, (excerpts, activations) in simulated.items():
        _write_simulations(filler, chunk, explained, kind, excerpts, activations)


def _write_neurons(filler: Filler, chunk: Chunk, mask: Bools, scores: Float64s | None, texts: list[str]) -> None:
    n = int(mask.sum())
    if n == 0:
        return
    layer, index = np.divmod(chunk.numbers[mask], filler.neurons_per_layer)
    columns = {
        "id": numbers(chunk.ids[mask], ">i8"),
        "subject_id": same_number(filler.ids.subject, n),
        "layer": numbers(layer, ">i2"),
        "index": numbers(index, ">i4"),
        **_statistics(filler, chunk.maxima[mask]),
    }
    if scores is None:
        copy_rows(filler.connection, "neuron", columns)
        return
    columns["current_explanation_id"] = numbers(chunk.ids[mask], ">i8")
    columns["current_score"] = numbers(scores[mask], ">f8")
    columns["current_simulator"] = words("synthetic", n)
    columns["n_explanations"] = numbers(np.ones(n), ">i4")
    copy_rows(filler.connection, "neuron", columns, ("current_text", _chosen(texts, mask)))


def _statistics(filler: Filler, maxima: Float64s) -> dict[str, Bytes]:
    n = len(maxima)
    rates = filler.random.lognormal(-4.0, 1.0, n).clip(1e-6, 0.9)
    shape = (1e6 * np.exp(-np.arange(50) / 4.0)).astype(np.int64)
    edges = np.linspace(np.full(n, -0.17), maxima, 51, axis=1)
    return {
        "mean": numbers(-0.1 + rates, ">f8"),
        "variance": numbers(rates * maxima, ">f8"),
        "skewness": numbers(2 / np.sqrt(rates), ">f8"),
        "kurtosis": numbers(6 / rates, ">f8"),
        "min": numbers(np.full(n, -0.17), ">f8"),
        "max": numbers(maxima, ">f8"),
        "firing_rate": numbers(rates, ">f8"),
        "peak_quantiles": arrays(maxima[:, None] * [0.1, 0.3, 0.6, 0.9, 0.99], ">f4", FLOAT4_OID),
        "histogram_counts": arrays(np.tile(shape, (n, 1)), ">i8", INT8_OID),
        "histogram_edges": arrays(edges, ">f4", FLOAT4_OID),
    }


def _write_sample(filler: Filler, chunk: Chunk, kind: SampleKind, excerpts: Int64s, activations: Float16s) -> None:
    n = len(chunk.numbers)
    copy_rows(
        filler.connection,
        "sample",
        {
            "neuron_id": numbers(chunk.ids, ">i8"),
            "collection_id": same_number(filler.ids.collection, n),
            "kind": words(kind, n),
            "excerpt_ids": arrays(excerpts + filler.ids.first_excerpt, ">i8", INT8_OID),
            "activations": raw(activations.view(np.uint8).reshape(n, -1)),
            "peaks": arrays(activations.max(axis=2), ">f4", FLOAT4_OID),
        },
    )


def _write_explanations(filler: Filler, chunk: Chunk, mask: Bools, scores: Float64s, texts: list[str]) -> None:
    n, ids = int(mask.sum()), chunk.ids[mask]
    copy_rows(
        filler.connection,
        "explanation",
        {
            "id": numbers(ids, ">i8"),
            "neuron_id": numbers(ids, ">i8"),
            "author_kind": words("method", n),
            "author": words("synthetic", n),
            "method_id": same_number(filler.ids.method, n),
            "collection_id": same_number(filler.ids.collection, n),
        },
        ("text", _chosen(texts, mask)),
    )
    copy_rows(
        filler.connection,
        "method_standing",
        {
            "method_id": same_number(filler.ids.method, n),
            "neuron_id": numbers(ids, ">i8"),
            "is_whole_corpus": raw(np.zeros((n, 1), dtype=np.uint8)),
            "subject_id": same_number(filler.ids.subject, n),
            "explanation_id": numbers(ids, ">i8"),
            "score_id": numbers(ids, ">i8"),
            "score": numbers(scores[mask], ">f8"),
            "simulator": words("synthetic", n),
        },
    )
    for sample, share in (("top_and_random", 1.0), ("random", 0.4)):
        value = scores[mask] * share
        copy_rows(
            filler.connection,
            "score",
            {
                "explanation_id": numbers(ids, ">i8"),
                "id": numbers(ids if sample == "top_and_random" else ids + RANDOM_SCORES, ">i8"),
                "method_id": same_number(filler.ids.method, n),
                "collection_id": same_number(filler.ids.collection, n),
                "simulator": words("synthetic", n),
                "scorer": words("correlation", n),
                "sample": words(sample, n),
                "value": numbers(value, ">f8"),
                "interval_low": numbers(value - 0.08, ">f8"),
                "interval_high": numbers(np.minimum(value + 0.08, 1.0), ">f8"),
                "n_valid": numbers(np.full(n, 10), ">i8"),
                "n_failed": numbers(np.zeros(n), ">i4"),
                "token_lookup_baseline": numbers(value * 0.9, ">f8"),
                "shuffled_baseline": numbers(np.full(n, 0.01), ">f8"),
            },
        )


def _write_simulations(
    filler: Filler,
    chunk: Chunk,
    mask: Bools,
    kind: SampleKind,
    excerpts: Int64s,
    activations: Float16s,
) -> None:
    n, ids = int(mask.sum()), chunk.ids[mask]
    share = activations[mask].astype(np.float32) / chunk.maxima[mask, None, None].astype(np.float32)
    expected = np.clip(np.round(10 * share), 0, 10).astype("<f2")
    copy_rows(
        filler.connection,
        "simulation",
        {
            "explanation_id": numbers(ids, ">i8"),
            "method_id": same_number(filler.ids.method, n),
            "collection_id": same_number(filler.ids.collection, n),
            "simulator": words("synthetic", n),
            "kind": words(kind, n),
            "split": words("validation", n),
            "unit": numbers(chunk.maxima[mask] / 10, ">f8"),
            "excerpt_ids": arrays(excerpts[mask] + filler.ids.first_excerpt, ">i8", INT8_OID),
            "expected": raw(expected.view(np.uint8).reshape(n, -1)),
        },
    )


def same_number(value: int, n: int) -> Bytes:
    return numbers(np.full(n, value), ">i8")


def _chosen(texts: list[str], mask: Bools) -> list[str]:
    return [text for text, wanted in zip(texts, mask, strict=True) if wanted]
