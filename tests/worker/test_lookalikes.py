"""The second look against what NumPy finds from all activations at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.arrays import Float32s, Int32s
from app.errors import CollectionError
from tests.worker.collecting import CPU, FakeModel, a_pass, planned
from worker.collection.best import Best, ordinals_of
from worker.collection.hard_negatives import LOW_SHARE, MOST, driving_tokens
from worker.collection.lookalikes import CONSIDERED, drivers_of, find_lookalikes, lookalike_records
from worker.collection.passes import Part, Pass
from worker.collection.publish import Finished
from worker.subjects.hooks import OnLayer

EXCERPTS = 900


class ContextModel(FakeModel):
    """A token activates only behind an even token, so that the same token can be silent elsewhere."""

    def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
        for layer, activations in enumerate(self.activations(token_ids.numpy())):
            on_layer(layer, torch.from_numpy(activations))

    def activations(self, token_ids: Int32s) -> Float32s:
        """[layers, excerpts, tokens, neurons]."""
        before = np.roll(token_ids, 1, axis=1) % 2 == 0
        return np.where(before[None, :, :, None], self.tables[:, token_ids], np.float32(0.0))


Done = tuple[Pass, Finished, list[Best]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("look")
    work = a_pass(folder, planned(folder, EXCERPTS), ContextModel())
    bounds = work.pilot()
    found = Finished(work.run(bounds, Part(), folder, lambda tokens: None), bounds, work)
    return work, found, find_lookalikes(work, found.draw, seed=3)


def records_of(done: Done, layer: int, neuron: int) -> NeuronRecords:
    """The neuron as it is read from the database."""
    work, found, _ = done
    draw = found.draw(layer)
    samples = {}
    for sample in draw.samples:
        own = sample.there[neuron]
        ordinals, values = sample.ordinals[neuron][own], sample.values[neuron][own].astype(np.float32)
        rows = zip(ordinals.tolist(), work.excerpts.tokens(ordinals), values, strict=True)
        samples[sample.kind] = tuple(ActivationRecord(i, tokens, activations) for i, tokens, activations in rows)
    return NeuronRecords(samples, float(draw.of(SampleKind.TOP).peaks[neuron, 0]))


def cases(done: Done) -> list[tuple[int, int]]:
    return [(layer, neuron) for layer in range(2) for neuron in range(done[0].shape.neurons)]


def test_drivers_are_those_of_each_neuron_alone(done: Done) -> None:
    work, finished, _ = done
    n_drivers = 0
    for layer, neuron in cases(done):
        expected = driving_tokens(records_of(done, layer, neuron))
        found = drivers_of(finished.draw(layer), work.excerpts, CPU)
        weights = found.weights[neuron].numpy()
        pairs = dict(zip(found.tokens[neuron].tolist(), weights.tolist(), strict=True))
        assert {t: w for t, w in pairs.items() if w > 0} == pytest.approx(expected, rel=1e-6)
        n_drivers += len(expected)
    assert n_drivers > 10


def test_the_most_alike_silent_excerpts_are_found(done: Done) -> None:
    work, _, found = done
    tokens = work.excerpts.tokens(range(EXCERPTS))
    activations = ContextModel().activations(tokens)
    n_found = 0
    for layer, neuron in cases(done):
        records = records_of(done, layer, neuron)
        weights = driving_tokens(records)
        likeness = np.array([sum(weights.get(t, 0.0) for t in set(row.tolist())) for row in tokens])
        peaks = activations[layer, :, :, neuron].max(axis=1)
        likeness[peaks >= np.float32(LOW_SHARE * records.maximum)] = 0.0
        ordinals = ordinals_of(found[layer].ordered().scores)[neuron].numpy()
        ordinals = ordinals[ordinals >= 0]
        wanted = np.sort(likeness[likeness > 0])[::-1][:CONSIDERED]
        assert likeness[ordinals] == pytest.approx(wanted, rel=1e-5)
        n_found += len(ordinals)
    assert n_found > 50


def test_what_is_in_another_sample_is_left_out(done: Done) -> None:
    work, finished, found = done
    draw = finished.draw(1)
    ordinals = ordinals_of(found[1].ordered().scores).numpy()
    kept = lookalike_records(found[1], draw, work.excerpts)
    n_left_out = 0
    for neuron, row in enumerate(ordinals):
        taken = {i for sample in draw.samples for i in sample.ordinals[neuron].tolist()}
        expected = [i for i in row.tolist() if i >= 0 and i not in taken][:MOST]
        got = [i for i in kept.ordinals[neuron].tolist() if i >= 0]
        assert got == expected
        assert kept.ordinals[neuron, len(got) :].tolist() == [-1] * (MOST - len(got))
        n_left_out += len(taken & set(row.tolist()))
    assert n_left_out > 5
    assert kept.kind is SampleKind.HARD_NEGATIVE


def test_values_are_those_of_the_excerpts(done: Done) -> None:
    work, finished, found = done
    records = lookalike_records(found[0], finished.draw(0), work.excerpts)
    neuron = int(np.argmax(records.ordinals[:, 0]))
    activations = ContextModel().activations(work.excerpts.tokens(records.ordinals[neuron, :1]))
    assert records.values[neuron, 0].tolist() == activations[0, 0, :, neuron].astype(np.float16).tolist()
    assert records.peaks[neuron, 0] == activations[0, 0, :, neuron].max()


def test_the_size_of_batches_does_not_matter(done: Done, tmp_path: Path) -> None:
    _, finished, found = done
    other = a_pass(tmp_path, planned(tmp_path, EXCERPTS), ContextModel(), batch=64)
    for first, second in zip(found, find_lookalikes(other, finished.draw, seed=3), strict=True):
        assert first.ordered().scores.tolist() == second.ordered().scores.tolist()


def test_when_memory_runs_out_the_batch_is_halved(done: Done, tmp_path: Path) -> None:
    class Greedy(ContextModel):
        def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
            if len(token_ids) > most:
                raise torch.OutOfMemoryError("too many")
            super().__call__(token_ids, on_layer)

    _, finished, found = done
    most = 3
    work = a_pass(tmp_path, planned(tmp_path, EXCERPTS), Greedy(), batch=8)
    again = find_lookalikes(work, finished.draw, seed=3)
    assert again[0].ordered().scores.tolist() == found[0].ordered().scores.tolist()
    assert work.batch.halved == 2
    most = 0
    with pytest.raises(CollectionError, match="single excerpt"):
        find_lookalikes(work, finished.draw, seed=3)
