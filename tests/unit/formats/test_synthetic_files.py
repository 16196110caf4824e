"""The generator of a data set shaped like GPT-2 XL's: the same for the same seed, and as OpenAI's own tools read it."""

import numpy as np
import pytest

from app.domain.samples import SampleKind
from app.formats.openai.reader import OpenAIReader
from benchmarks.synthetic_files import FIRST_MEAN, LAST_MEAN, LAYERS, MEAN, Shape, data_set, layer_means
from tests.unit.formats.reading import joined, read_files
from tests.unit.formats.upstream import openai_explanations, openai_object

N_EXCERPTS = 2_000


def test_equal_seeds_give_equal_files() -> None:
    first, second, other = (list(data_set(3, seed=seed, n_excerpts=N_EXCERPTS)) for seed in (1, 1, 2))
    assert first == second
    assert first != other
    assert [file.name for file in first][:2] == ["collated-activations/0/0.json", "explanations/0/0.jsonl"]


def test_files_hold_what_the_published_ones_hold() -> None:
    files = list(data_set(4, n_excerpts=N_EXCERPTS))
    for file in files:
        if file.name.endswith(".jsonl"):
            openai_explanations(file.content)
        else:
            openai_object(file.content, "NeuronRecord")
    found = read_files(OpenAIReader(), files)
    assert not found.problems
    neurons = joined(found.records)
    assert len(neurons) == 4
    for neuron in neurons.values():
        sizes = {sample.kind: len(sample.records) for sample in neuron.samples}
        assert sizes == {SampleKind.TOP: 20, SampleKind.RANDOM: 20, **{SampleKind(f"band_{i}"): 5 for i in range(4)}}
        assert {len(row.tokens) for sample in neuron.samples for row in sample.records} == {64}
        (explanation,) = neuron.explanations
        assert len(explanation.simulations) == 10
        real = np.concatenate([row.activations for row in explanation.simulations])
        expected = np.array([v for row in explanation.simulations for v in row.simulation.expected], dtype=float)
        score = next(score.value for score in explanation.scores if score.scorer == "correlation")
        assert score == pytest.approx(np.corrcoef(real, expected)[0, 1], abs=1e-5)


def test_scores_fall_with_the_layer_as_published() -> None:
    means = layer_means(LAYERS)
    assert means.mean() == pytest.approx(MEAN, abs=1e-3)
    assert int(means.argmax()) == 1
    assert means[[1, -1]].tolist() == pytest.approx([FIRST_MEAN, LAST_MEAN])
    assert (np.diff(means[1:]) < 0).all()


def test_all_of_gpt_2_xl_has_its_shape() -> None:
    assert Shape.of(307_200) == Shape(307_200, 48, 6_400)
    assert Shape.of(10) == Shape(10, 1, 10)
