"""One pass against what NumPy computes from all activations at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from app.domain.arrays import Float32s
from app.domain.samples import PEAK_QUANTILES, SampleKind
from app.errors import CollectionError
from tests.worker.collecting import TOKENS, FakeModel, a_pass, assert_same, finished, planned
from worker.collection.draw import LayerDraw, draw_layer
from worker.collection.passes import Part
from worker.collection.state import State, layer_bounds
from worker.collection.statistics import LayerStatistics, layer_statistics
from worker.subjects.hooks import OnLayer

EXCERPTS = 400
Everything = tuple[State, LayerStatistics, LayerDraw, Float32s]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    """A finished pass with layer 1's statistics and samples, and layer 1's activations [excerpts, tokens, neurons]."""
    folder = tmp_path_factory.mktemp("pass")
    plan = planned(folder, EXCERPTS)
    model = FakeModel()
    work = a_pass(folder, plan, model)
    bounds = work.pilot()
    state = work.run(bounds, Part(), folder, lambda tokens: None)
    statistics = layer_statistics(state, layer_bounds(bounds, 1), 1)
    draw = draw_layer(state, layer_bounds(bounds, 1), 1, work.excerpts, work.sampling)
    return state, statistics, draw, model.activations(work.excerpts.tokens(range(EXCERPTS)))[1]


def test_moments_are_those_of_all_tokens(everything: Everything) -> None:
    _, statistics, _, activations = everything
    values = activations.reshape(-1, activations.shape[2]).astype(np.float64)
    np.testing.assert_allclose(statistics.mean, values.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics.variance, values.var(axis=0), rtol=1e-5, atol=1e-9)
    standard = (values[:, 1:] - values[:, 1:].mean(axis=0)) / values[:, 1:].std(axis=0)
    np.testing.assert_allclose(statistics.skewness[1:], (standard**3).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(statistics.kurtosis[1:], (standard**4).mean(axis=0), rtol=1e-4)


def test_a_neuron_that_never_moves_has_no_shape(everything: Everything) -> None:
    _, statistics, _, _ = everything
    assert statistics.variance[0] == 0
    assert np.isnan([statistics.skewness[0], statistics.kurtosis[0]]).all()


def test_range_and_firing_rate_are_exact(everything: Everything) -> None:
    _, statistics, _, activations = everything
    np.testing.assert_array_equal(statistics.minimum, activations.min(axis=(0, 1)))
    np.testing.assert_array_equal(statistics.maximum, activations.max(axis=(0, 1)))
    np.testing.assert_allclose(statistics.firing_rate, (activations > 0).mean(axis=(0, 1)))


def test_the_histogram_counts_every_token_within_its_edges(everything: Everything) -> None:
    _, statistics, _, activations = everything
    assert (statistics.histogram_counts.sum(axis=1) == EXCERPTS * TOKENS).all()
    for counts, edges, values in zip(
        statistics.histogram_counts, statistics.histogram_edges, activations.reshape(-1, 6).T, strict=True
    ):
        slack = 1e-5 * (edges[-1] - edges[0])  # edges are float32
        below = counts.cumsum()[:-1]
        assert (below >= (values[:, None] < edges[1:-1] - slack).sum(axis=0)).all()
        assert (below <= (values[:, None] < edges[1:-1] + slack).sum(axis=0)).all()


def test_quantiles_of_peaks_are_numpys_within_a_bin(everything: Everything) -> None:
    _, statistics, _, activations = everything
    peaks = activations.max(axis=1)
    expected = np.quantile(peaks, PEAK_QUANTILES, axis=0).T
    spread = peaks.max(axis=0) - peaks.min(axis=0)
    assert (np.abs(statistics.peak_quantiles - expected) <= 0.02 * spread[:, None] + 1e-6).all()
    np.testing.assert_allclose(statistics.peak_quantiles[:, 2:], expected[:, 2:], rtol=1e-6)  # among the best 20


def test_top_holds_the_highest_peaks_and_ties_go_to_the_first(everything: Everything) -> None:
    _, _, draw, activations = everything
    peaks = activations.max(axis=1)
    for neuron in range(peaks.shape[1]):
        expected = np.lexsort((np.arange(EXCERPTS), -peaks[:, neuron]))[:20]
        np.testing.assert_array_equal(draw.of(SampleKind.TOP).ordinals[neuron], expected)


def test_every_record_holds_its_excerpts_activations(everything: Everything) -> None:
    _, _, draw, activations = everything
    for sample in draw.samples:
        for neuron, slot in np.argwhere(sample.there):
            expected = activations[sample.ordinals[neuron, slot], :, neuron]
            np.testing.assert_array_equal(sample.values[neuron, slot], expected.astype(np.float16))
            assert sample.peaks[neuron, slot] == expected.max()


def test_neurons_have_random_excerpts_of_their_own(everything: Everything) -> None:
    _, _, draw, _ = everything
    random = draw.of(SampleKind.RANDOM).ordinals
    assert all(len(set(row)) == 20 for row in random.tolist())
    assert set(random[2].tolist()) != set(random[3].tolist())


@pytest.mark.parametrize("batch", [1, 3, 16, 400])
def test_the_batchs_size_changes_nothing(everything: Everything, tmp_path: Path, batch: int) -> None:
    work = a_pass(tmp_path, planned(tmp_path, EXCERPTS), FakeModel(), batch=batch)
    assert_same(finished(work, tmp_path), everything[0])


def test_parts_merge_to_the_same_in_any_grouping(everything: Everything, tmp_path: Path) -> None:
    work = a_pass(tmp_path, planned(tmp_path, EXCERPTS), FakeModel())
    bounds = work.pilot()
    first, second, third = (work.run(bounds, Part(i, 3), tmp_path, lambda tokens: None) for i in range(3))
    third.merge(first)
    second.merge(third)
    assert_same(second, everything[0])


def test_a_part_is_not_taken_in_twice(tmp_path: Path) -> None:
    work = a_pass(tmp_path, planned(tmp_path, 40), FakeModel())
    state = finished(work, tmp_path)
    with pytest.raises(CollectionError, match="Both parts"):
        state.merge(finished(work, tmp_path))


class Exhausted(FakeModel):
    """Runs out of memory in the last layer of its ninth forward pass."""

    calls = 0

    def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
        def inner(layer: int, activations: Tensor) -> Tensor | None:
            if layer == 1 and self.calls == 20:
                raise torch.OutOfMemoryError("out of memory")
            return on_layer(layer, activations)

        self.calls += 1
        super().__call__(token_ids, inner)


def test_when_memory_runs_out_the_batch_is_halved_and_nothing_counts_twice(
    everything: Everything, tmp_path: Path
) -> None:
    work = a_pass(tmp_path, planned(tmp_path, EXCERPTS), Exhausted(), batch=8)
    assert_same(finished(work, tmp_path), everything[0])
    assert (work.batch.excerpts, work.batch.halved) == (4, 1)


def test_an_excerpt_that_never_fits_is_an_error(tmp_path: Path) -> None:
    class Tiny(FakeModel):
        def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(CollectionError, match="single excerpt"):
        a_pass(tmp_path, planned(tmp_path, 40), Tiny()).pilot()


def test_activations_that_are_no_numbers_stop_the_pass(tmp_path: Path) -> None:
    model = FakeModel()
    model.tables[1, 97] = np.nan
    with pytest.raises(CollectionError, match="not finite"):
        finished(a_pass(tmp_path, planned(tmp_path, 40), model), tmp_path)
