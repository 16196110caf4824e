"""The strongest tokens of neurons against what NumPy computes from all activations at once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.domain.arrays import Float32s, Float64s, Int32s, Int64s
from tests.worker.collecting import CPU, FakeModel, a_pass, corpus_of, encode_bytes, finished, planned
from worker.collection.passes import Part, Pass
from worker.collection.plan import Cut, Excerpts, prepare
from worker.collection.state import State, layer_bounds
from worker.collection.statistics import LEAST_OCCURRENCES, LISTED_TOKENS, LayerTokens, layer_tokens
from worker.collection.token_sums import BYTES_PER_SUM, token_rows


class Busy(FakeModel):
    """Activations depend on the token and on the one before it, so that a token's mean is no single value."""

    def __call__(self, token_ids: torch.Tensor, on_layer: object) -> None:
        for layer, activations in enumerate(self.activations(token_ids.numpy())):
            on_layer(layer, torch.from_numpy(activations))  # type: ignore[operator]  # as any model is called

    def activations(self, token_ids: Int32s) -> Float32s:
        """[layers, excerpts, tokens, neurons]."""
        return self.tables[:, token_ids] + self.tables[:, np.roll(token_ids, 1, axis=1) + 200]


def tokens_of(work: Pass, folder: Path) -> tuple[State, LayerTokens]:
    bounds = work.pilot()
    state = work.run(bounds, Part(), folder, lambda tokens: None)
    return state, layer_tokens(state, layer_bounds(bounds, 1), 1, work.token_rows)


def means_of(work: Pass) -> tuple[Int64s, Float64s]:
    """The occurrences [V] of each token of the corpus, and layer 1's means [V, N]."""
    tokens = work.excerpts.tokens(range(work.plan.n_excerpts))
    activations = Busy().activations(tokens)[1].reshape(-1, work.shape.neurons).astype(np.float64)
    counts = np.bincount(tokens.ravel())
    sums = np.zeros((len(counts), work.shape.neurons))
    np.add.at(sums, tokens.ravel(), activations)
    return counts, sums / np.maximum(counts, 1)[:, None]


def test_means_and_counts_are_those_of_the_whole_corpus(tmp_path: Path) -> None:
    work = a_pass(tmp_path, planned(tmp_path, 400), Busy())
    _, found = tokens_of(work, tmp_path)
    counts, means = means_of(work)
    assert found.known.all()
    for neuron in range(work.shape.neurons):
        listed = found.token_ids[neuron]
        assert sorted(listed.tolist()) == np.flatnonzero(counts).tolist()  # 26 letters: all are listed
        np.testing.assert_array_equal(found.counts[neuron], counts[listed])
        spread = np.ptp(means[:, neuron])
        np.testing.assert_allclose(found.means[neuron], means[listed, neuron], rtol=1e-5, atol=2e-5 * spread)
        assert (np.diff(found.means[neuron]) <= 0).all()


def test_of_many_tokens_the_strongest_and_those_that_explain_most_are_listed(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    numbers = np.concatenate([generator.integers(0, 200, 8 * 600), np.arange(200, 240)])
    corpus = corpus_of("numbers", [("a", "".join(map(chr, numbers)))])
    plan = prepare(tmp_path, corpus, lambda texts: [[ord(c) for c in text] for text in texts], Cut(8, None, 64))
    work = a_pass(tmp_path, plan, Busy())
    _, found = tokens_of(work, tmp_path)
    counts, means = means_of(work)
    assert found.token_ids.shape == (6, LISTED_TOKENS)
    for neuron in range(1, 6):
        frequent = np.flatnonzero(counts >= LEAST_OCCURRENCES)
        strongest = frequent[np.argsort(-means[frequent, neuron], kind="stable")][: LISTED_TOKENS // 2]
        explained = counts * (means[:, neuron] - counts @ means[:, neuron] / counts.sum()) ** 2
        explained[strongest] = explained[counts < LEAST_OCCURRENCES] = -1
        most = np.argsort(-explained, kind="stable")[: LISTED_TOKENS // 2]
        assert set(found.token_ids[neuron].tolist()) == {*strongest.tolist(), *most.tolist()}
        assert found.token_ids[neuron][: LISTED_TOKENS // 4].tolist() == strongest[: LISTED_TOKENS // 4].tolist()
        assert (found.counts[neuron] >= LEAST_OCCURRENCES).all()


def test_with_little_memory_the_most_frequent_tokens_alone_have_rows(tmp_path: Path) -> None:
    plan = planned(tmp_path, 300)
    gigabytes = 11 * 12 * BYTES_PER_SUM / 1e9  # eleven rows of twelve neurons
    work = a_pass(tmp_path, plan, Busy(), gigabytes=gigabytes)
    state, found = tokens_of(work, tmp_path)
    counts, means = means_of(work)
    rows = work.token_rows
    assert (rows.n_rows, rows.is_whole) == (11, False)
    assert rows.token_ids.tolist() == np.lexsort((np.arange(len(counts)), -counts))[:10].tolist()
    assert rows.n_others == counts.sum() - counts[rows.token_ids].sum()
    assert set(found.token_ids[3].tolist()) == set(rows.token_ids.tolist())
    order = found.token_ids[3]
    np.testing.assert_allclose(found.means[3], means[order, 3], rtol=1e-4, atol=1e-4 * np.ptp(means[:, 3]))
    # Nothing is lost: what has no row is added up in the last one.
    whole, _ = tokens_of(a_pass(tmp_path / "more", planned(tmp_path / "more", 300), Busy()), tmp_path / "more")
    assert torch.equal(state.tensors["token_sums"].sum(dim=1), whole.tensors["token_sums"].sum(dim=1))


def test_a_neuron_that_moves_beyond_its_units_has_no_means(tmp_path: Path) -> None:
    letters = "".join(chr(97 + i % 25) for i in range(8 * 299 + 7)) + "z"
    plan = prepare(tmp_path, corpus_of("a", [("a", letters)]), encode_bytes, Cut(8, None, 64))
    model = FakeModel()
    model.tables[1, ord("z")] = 1e6
    work = a_pass(tmp_path, plan, model)
    tokens = work.excerpts.tokens(range(plan.n_excerpts))
    calm = np.flatnonzero(~(tokens == ord("z")).any(axis=1))
    bounds = work._look_at(calm, lambda tokens: None)  # a pilot that meets no "z"
    state = work.run(bounds, Part(), tmp_path, lambda tokens: None)
    assert not layer_tokens(state, layer_bounds(bounds, 1), 1, work.token_rows).known.any()
    assert layer_tokens(state, layer_bounds(bounds, 0), 0, work.token_rows).known.all()


@pytest.mark.parametrize("n_parts", [2, 3])
def test_parts_add_up_to_the_same_sums(tmp_path: Path, n_parts: int) -> None:
    work = a_pass(tmp_path, planned(tmp_path, 200), Busy())
    whole = finished(work, tmp_path)
    parts = [work.run(work.pilot(), Part(i, n_parts), tmp_path, lambda tokens: None) for i in range(n_parts)]
    for part in parts[1:]:
        parts[0].merge(part)
    assert torch.equal(parts[0].tensors["token_sums"], whole.tensors["token_sums"])


def test_a_tie_in_frequency_goes_to_the_lower_token_id(tmp_path: Path) -> None:
    plan = prepare(tmp_path, corpus_of("a", [("a", "cabcba")]), encode_bytes, Cut(2, None, 64))
    rows = token_rows(Excerpts(tmp_path, plan), plan, n_neurons=1, gigabytes=3 * BYTES_PER_SUM / 1e9)
    assert rows.token_ids.tolist() == [97, 98]
    assert rows.of(np.array([[97, 98, 99]], dtype=np.int32)).tolist() == [[0, 1, 2]]
    assert CPU.type == "cpu"
