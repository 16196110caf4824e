"""The samples of a collection: a draw from every stratum with known probabilities, and distinct texts at the top."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from app.domain.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from app.domain.copies import alike
from app.domain.samples import BAND_EDGES, BANDS, STRATA, SampleKind
from tests.worker.collecting import FakeModel, a_pass, corpus_of, encode_bytes, finished, planned
from worker.collection.draw import BAND_SIZE, LayerDraw, band_edge_bins, draw_layer
from worker.collection.passes import Part, Pass
from worker.collection.plan import Cut, prepare
from worker.collection.state import LEADERS, State, layer_bounds
from worker.subjects.hooks import OnLayer

TOP, RANDOM = SampleKind.TOP, SampleKind.RANDOM


class Contextual(FakeModel):
    """Activations depend on the three tokens up to each token, so that hardly any two peaks are equal."""

    def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
        for layer, activations in enumerate(self.activations(token_ids.numpy())):
            on_layer(layer, torch.from_numpy(activations))

    def activations(self, token_ids: Int32s) -> Float32s:
        """[layers, excerpts, tokens, neurons]."""
        before, earlier = np.roll(token_ids, 1, axis=1), np.roll(token_ids, 2, axis=1)
        return self.tables[:, (token_ids * 31 + before * 17) % 512] + self.tables[:, (before * 7 + earlier * 131) % 512]


@dataclass
class Drawn:
    """A finished pass over a fake model, with layer 1's samples and its peaks [excerpts, neurons]."""

    work: Pass
    state: State
    draw: LayerDraw
    peaks: Float32s


def drawn(folder: Path, n_excerpts: int, *, seed: int = 7, model: FakeModel | None = None) -> Drawn:
    model = model or FakeModel()
    work = a_pass(folder, planned(folder, n_excerpts, shard_excerpts=256), model, batch=200, seed=seed)
    bounds = work.pilot()
    state = work.run(bounds, Part(), folder, lambda tokens: None)
    for file in folder.glob("state*"):
        file.unlink()
    draw = draw_layer(state, layer_bounds(bounds, 1), 1, work.excerpts, work.sampling)
    return Drawn(work, state, draw, model.activations(work.excerpts.tokens(range(n_excerpts)))[1].max(axis=1))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Of 3,000 excerpts, so that every band but the last has members outside the top sample."""
    return drawn(tmp_path_factory.mktemp("draw"), 3000, model=Contextual())


def test_strata_hold_every_excerpt_once_and_are_counted_exactly(large: Drawn) -> None:
    edges = np.concatenate(
        [np.full((6, 1), -np.inf), large.draw.band_edges, np.full((6, 1), np.inf)], axis=1, dtype=np.float64
    )
    for neuron, peaks in enumerate(large.peaks.T):
        top = np.isin(np.arange(len(peaks)), large.draw.of(TOP).ordinals[neuron])
        counted = [int(top.sum())]
        for band in range(len(BANDS)):
            counted.append(int(((peaks >= edges[neuron, band]) & (peaks < edges[neuron, band + 1]) & ~top).sum()))
        assert counted == large.draw.stratum_sizes[neuron].tolist()
        assert sum(counted) == 3000


def test_edges_of_bands_are_the_nearest_to_their_quantiles_that_bins_allow(large: Drawn) -> None:
    for neuron in range(1, 6):
        peaks = large.peaks[:, neuron]
        for edge, quantile in zip(large.draw.band_edges[neuron], BAND_EDGES, strict=True):
            assert abs((peaks < edge).mean() - quantile) < 0.02


def test_bands_lie_between_their_edges_and_repeat_nothing(large: Drawn) -> None:
    for number, kind in enumerate(BANDS):
        sample = large.draw.of(kind)
        assert sample.ordinals.shape[1] <= BAND_SIZE
        for neuron, slot in np.argwhere(sample.there):
            peak = sample.peaks[neuron, slot]
            assert (peak >= large.draw.band_edges[neuron]).sum() == number
            for other in (TOP, RANDOM):
                assert sample.ordinals[neuron, slot] not in large.draw.of(other).ordinals[neuron]
        for row in sample.ordinals:
            assert len(set(row[row >= 0].tolist())) == (row >= 0).sum()


def test_bands_that_hold_enough_excerpts_bring_enough(large: Drawn) -> None:
    for kind in BANDS:
        sample = large.draw.of(kind)
        wide = large.draw.stratum_sizes[1:, STRATA.index(kind)] >= 40
        assert (sample.there.sum(axis=1)[1:][wide] >= 8).all()


def test_a_neuron_that_never_moves_has_one_band(large: Drawn) -> None:
    assert large.draw.stratum_sizes[0].tolist() == [20, 2980, 0, 0, 0, 0]


def totals(found: Drawn, values: Float64s) -> Float64s:
    """Horvitz-Thompson totals of values [excerpts, neurons] over all that was drawn, each excerpt once. [neurons]"""
    estimates = np.zeros(values.shape[1])
    for neuron in range(values.shape[1]):
        drawn_once: dict[int, float] = {}
        for sample in found.draw.samples:
            assert sample.probabilities is not None
            own = sample.there[neuron]
            pairs = zip(sample.ordinals[neuron][own].tolist(), sample.probabilities[neuron][own].tolist(), strict=True)
            for ordinal, probability in pairs:
                assert 0 < probability <= 1
                assert drawn_once.setdefault(ordinal, probability) == pytest.approx(probability)
        estimates[neuron] = sum(values[i, neuron] / probability for i, probability in drawn_once.items())
    return estimates


def test_over_many_draws_the_weighted_totals_are_those_of_the_corpus(tmp_path: Path) -> None:
    model, estimates, n = FakeModel(), [], 400
    values = np.zeros((0, 0))
    for seed in range(80):
        found = drawn(tmp_path, n, seed=seed, model=model)
        values = np.stack([found.peaks, found.peaks**2, np.ones_like(found.peaks)]).astype(np.float64)
        estimates.append([totals(found, kind) for kind in values])
    mean, error = np.mean(estimates, axis=0), np.std(estimates, axis=0) / np.sqrt(len(estimates))
    true = values.sum(axis=1)
    assert (np.abs(mean - true) <= 4 * error + 1e-9).all()
    assert (error[:, 1:] / np.abs(true[:, 1:]) < 0.03).all()


@pytest.mark.parametrize("n", [1, 7, 20, 34])
def test_a_corpus_that_is_drawn_whole_is_added_up_exactly(tmp_path: Path, n: int) -> None:
    found = drawn(tmp_path, n)
    np.testing.assert_allclose(totals(found, found.peaks.astype(np.float64)), found.peaks.sum(axis=0), rtol=1e-5)


class Rare(FakeModel):
    """Neuron 1 fires on one letter in a way that hardly any pilot sees."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tables[:, :, 1] = 0
        self.tables[:, 0, 1] = 5


def test_a_neuron_that_was_silent_in_the_pilot_is_drawn_from_rightly(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    letters = generator.integers(97, 123, 3000 * 8)
    letters[generator.choice(len(letters), 60, replace=False)] = 0
    corpus = corpus_of("rare", [("a", bytes(letters.tolist()).decode())])
    plan = prepare(tmp_path, corpus, encode_bytes, Cut(8, None, 4096))
    model = Rare()
    work = a_pass(tmp_path, plan, model, batch=500)
    # Bounds of the excerpts without the letter, as if the pilot had met no other.
    tokens = work.excerpts.tokens(range(plan.n_excerpts))
    silent = np.flatnonzero(~(tokens == 0).any(axis=1))[:256]
    bounds = work._look_at(silent, lambda tokens: None)  # what the pilot does with its excerpts
    state = work.run(bounds, Part(), tmp_path, lambda tokens: None)
    draw = draw_layer(state, layer_bounds(bounds, 1), 1, work.excerpts, work.sampling)
    n_firing = int((tokens == 0).any(axis=1).sum())
    top = draw.of(TOP)
    assert (top.peaks[1] == 5).sum() == 20
    bands = [draw.of(kind) for kind in BANDS]
    firing = sum(
        float((1 / b.probabilities[1][b.there[1] & (b.peaks[1] == 5)]).sum())
        for b in bands
        if b.probabilities is not None
    )
    assert firing == pytest.approx(n_firing - 20, rel=0.5)
    assert draw.stratum_sizes[1].sum() == plan.n_excerpts


def full_of_licences(n_documents: int) -> list[tuple[str, str]]:
    """Documents that begin with a few letters of their own, then a licence, then letters."""
    generator = np.random.default_rng(0)
    licence = bytes(generator.integers(97, 123, 90).tolist()).decode()
    documents = []
    for number in range(n_documents):
        own = bytes(generator.integers(97, 123, 130).tolist()).decode()
        documents.append((f"document {number}", own[: number % 11] + licence + own))
    return documents


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Of a corpus in which half of all text is one licence, cut at eleven positions."""
    folder = tmp_path_factory.mktemp("copies")
    plan = prepare(folder, corpus_of("copies", full_of_licences(60)), encode_bytes, Cut(24, None, 64))
    model = FakeModel()
    work = a_pass(folder, plan, model, batch=32)
    bounds = work.pilot()
    state = finished(work, folder)
    draw = draw_layer(state, layer_bounds(bounds, 1), 1, work.excerpts, work.sampling)
    return Drawn(work, state, draw, model.activations(work.excerpts.tokens(range(plan.n_excerpts)))[1].max(axis=1))


def near(found: Drawn, ordinals: Int64s, neuron: int) -> Bools:
    """Which of these excerpts are alike, by the definition of the domain."""
    tokens = found.work.excerpts.tokens(ordinals)
    activations = FakeModel().activations(tokens)[1, :, :, neuron]
    return alike(list(tokens), activations.argmax(axis=1).tolist())


def test_top_holds_distinct_texts_and_reports_the_number_of_copies(copied: Drawn) -> None:
    told = copied.draw.n_alike
    for neuron in range(1, 6):
        top = copied.draw.of(TOP).ordinals[neuron]
        pairs = near(copied, top[top >= 0], neuron)
        assert pairs.sum() == len(pairs)  # each is alike to itself alone
        highest = np.lexsort((np.arange(len(copied.peaks)), -copied.peaks[:, neuron]))[:LEADERS]
        by_definition = np.tril(near(copied, highest, neuron), -1).any(axis=1).sum()
        assert told[neuron] == by_definition
    assert told.max() > 5


def test_the_best_of_near_copies_is_the_one_that_is_kept(copied: Drawn) -> None:
    for neuron in range(1, 6):
        order = np.lexsort((np.arange(len(copied.peaks)), -copied.peaks[:, neuron]))
        assert copied.draw.of(TOP).ordinals[neuron, 0] == order[0]
        assert (np.diff(copied.draw.of(TOP).peaks[neuron][copied.draw.of(TOP).there[neuron]]) <= 0).all()


def test_edges_are_the_bins_with_the_right_numbers_below() -> None:
    counts = np.zeros((2, 8), dtype=np.int64)
    counts[0] = [40, 12, 0, 40, 7, 1, 0, 0]  # 0, 40, 52, 52, 92, 99, 100 below
    counts[1, 0] = 100
    assert band_edge_bins(counts, 100).tolist() == [[2, 4, 5, 6], [1, 1, 1, 1]]
