"""Help for tests of collections: activations without a model, and what must come out of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.domain.arrays import Float32s, Int32s
from worker.collection.passes import BatchSize, Part, Pass
from worker.collection.plan import Cut, Excerpts, Plan, prepare
from worker.collection.sampling import Sampling
from worker.collection.state import POOLS, Shape, State
from worker.collection.token_sums import GIGABYTES, token_rows
from worker.corpora.documents import CorpusSource, Document
from worker.subjects.hooks import OnLayer

CPU = torch.device("cpu")
TOKENS = 8


@dataclass
class FakeModel:
    """Activations that depend on the token alone: rows of a random table, one table per layer."""

    n_layers: int = 2
    neurons: int = 6
    seed: int = 0
    tables: Float32s = field(init=False)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(self.seed)
        tables = generator.standard_normal((self.n_layers, 512, self.neurons)) ** 3
        tables[:, :, 0] = 0.0
        tables[:, :, 1] = np.maximum(tables[:, :, 1], 0)
        tables[:, :, 2] += 40.0
        self.tables = tables.astype(np.float32)

    def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
        for layer in range(self.n_layers):
            on_layer(layer, torch.from_numpy(self.tables[layer][token_ids.numpy()]))

    def activations(self, token_ids: Int32s) -> Float32s:
        """[layers, excerpts, tokens, neurons]."""
        return self.tables[:, token_ids]


def encode_bytes(texts: list[str]) -> list[list[int]]:
    """A token for each byte."""
    return [list(text.encode()) for text in texts]


def some_text(n_excerpts: int, seed: int = 0) -> list[tuple[str, str]]:
    """Documents that hold this many excerpts of 8 characters, and a remainder each."""
    generator = np.random.default_rng(seed)
    documents: list[tuple[str, str]] = []
    left = n_excerpts
    while left:
        size = min(left, int(generator.integers(1, 40)))
        letters = generator.integers(97, 123, size * TOKENS + int(generator.integers(0, TOKENS)))
        documents.append((f"document {len(documents)}", bytes(letters.tolist()).decode()))
        left -= size
    return documents


def corpus_of(name: str, documents: Iterable[tuple[str, str]]) -> CorpusSource:
    """A corpus of (name, text) pairs at hand."""
    kept = [Document(document, text) for document, text in documents]
    return CorpusSource(name, name, lambda on_skip: kept)


def planned(folder: Path, n_excerpts: int, shard_excerpts: int = 16) -> Plan:
    """Text cut into excerpts in ``folder``."""
    corpus = corpus_of("letters", some_text(n_excerpts))
    return prepare(folder, corpus, encode_bytes, Cut(TOKENS, None, shard_excerpts))


def a_pass(
    folder: Path, plan: Plan, model: FakeModel, batch: int = 5, *, seed: int = 7, gigabytes: float = GIGABYTES
) -> Pass:
    """A pass of a fake model, in which every excerpt enters the histogram."""
    excerpts = Excerpts(folder, plan)
    rows = token_rows(excerpts, plan, n_neurons=model.n_layers * model.neurons, gigabytes=gigabytes)
    shape = Shape(model.n_layers, model.neurons, plan.context_length, rows.n_rows)
    sampling = Sampling(seed, plan.n_excerpts, 1)
    return Pass(model, plan, excerpts, shape, sampling, rows, BatchSize(batch), CPU)


def finished(work: Pass, folder: Path, part: Part | None = None) -> State:
    """The state of a whole pass, or of a part of it."""
    return work.run(work.pilot(), part or Part(), folder, lambda tokens: None)


def assert_same(left: State, right: State) -> None:
    """Two states are equal to the last bit, in any order of their slots."""
    assert (left.shards, left.excerpts, left.histogram_excerpts) == (
        right.shards,
        right.excerpts,
        right.histogram_excerpts,
    )
    for name in ("sums", "minimum", "maximum", "positive", "peak_counts", "histogram", "token_sums"):
        torch.testing.assert_close(left.tensors[name], right.tensors[name], rtol=0, atol=0)
    for pool in POOLS:
        mine, theirs = left.best(pool).ordered(), right.best(pool).ordered()
        for name in ("scores", "peaks", "values", "bar", "texts"):
            assert_equal(getattr(mine, name), getattr(theirs, name))


def assert_equal(left: Tensor | None, right: Tensor | None) -> None:
    """Two tensors are the same to the last bit, or both missing."""
    if left is None or right is None:
        assert left is right
    else:
        torch.testing.assert_close(left, right, rtol=0, atol=0)
