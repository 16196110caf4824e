"""A data set in OpenAI's format, shaped like that of GPT-2 XL, of any size: the same bytes for the same size and seed.

``python -m benchmarks.synthetic_files --neurons 307200 --output FOLDER`` writes a folder, or one archive where the name
ends in .tar, .tar.gz or .zip. Each neuron has 20 top and 20 random records and 5 in each of four bands, of 64 tokens
each, and one explanation, simulated on five top and five random ones. Scores are distributed as published: their mean
falls from .42 in layer 1 to .06 in the last, .151 over all. A simulation is the real activations with as much noise as
gives that correlation, and the published score is the one that it has.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from app.domain.arrays import Float16s, Float64s, Int64s
from app.domain.samples import BANDS, SampleKind
from app.formats.files import File, write_files
from app.formats.openai.writer import ACTIVATIONS, EXPLANATIONS
from benchmarks.synthetic_activations import SAMPLE_SIZES, VALIDATION, Drawn
from benchmarks.synthetic_text import library_text

LAYERS, NEURONS_PER_LAYER = 48, 6_400
N_EXCERPTS = 20_000
CHUNK = 256
FIRST_MEAN, LAST_MEAN, MEAN = 0.42, 0.06, 0.151
_SMALLEST = 1e-6
_SPREAD = 2.6
"""Sum of the parameters of the beta distribution that a layer's scores are drawn from."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Neurons of a data set: as many layers as GPT-2 XL, or fewer where there are few neurons."""

    n_neurons: int
    n_layers: int
    per_layer: int

    @classmethod
    def of(cls, n_neurons: int) -> "Shape":
        """The shape of so many neurons."""
        n_layers = min(LAYERS, max(1, math.ceil(n_neurons / 40)))
        return cls(n_neurons, n_layers, math.ceil(n_neurons / n_layers))


def layer_means(n_layers: int) -> Float64s:
    """The mean score of each layer: falling from ``FIRST_MEAN`` in layer 1 to ``LAST_MEAN``, ``MEAN`` over all.

    Layer 0 is a little below layer 1, as published. Between them the fall is exponential.
    """
    if n_layers == 1:
        return np.array([MEAN])
    depth = np.linspace(0, 1, n_layers)

    def means(rate: float) -> Float64s:
        fall = (np.exp(-rate * depth) - np.exp(-rate)) / (1 - np.exp(-rate))
        return np.asarray(LAST_MEAN + (FIRST_MEAN - LAST_MEAN) * fall)

    low, high = 1e-3, 50.0
    for _ in range(60):  # the mean over all layers falls with the rate
        middle = (low + high) / 2
        low, high = (middle, high) if means(middle).mean() > MEAN else (low, middle)
    return np.concatenate([means(low)[1:2], means(low)[:1], means(low)[2:]])


def data_set(n_neurons: int, *, seed: int = 0, n_excerpts: int = N_EXCERPTS) -> Iterator[File]:
    """The files of so many neurons, two each, layer by layer."""
    drawn, random, shape = Drawn.of(library_text(n_excerpts)), np.random.default_rng(seed), Shape.of(n_neurons)
    texts = [json.dumps([drawn.text.tokens[t].decode() for t in excerpt]) for excerpt in drawn.text.excerpts]
    means = layer_means(shape.n_layers)
    for start in range(0, n_neurons, CHUNK):
        places = np.arange(start, min(start + CHUNK, n_neurons))
        layers, indices = np.divmod(places, shape.per_layer)
        liked, maxima = drawn.neurons(random, len(places))
        wanted = random.beta(_SPREAD * means[layers], _SPREAD * (1 - means[layers])).clip(0.001, 0.98)
        samples = {kind: drawn.sample(random, kind, liked, maxima) for kind in SAMPLE_SIZES}
        for i in range(len(places)):
            own = {kind: (excerpts[i], activations[i]) for kind, (excerpts, activations) in samples.items()}
            address = {"layer": int(layers[i]), "index": int(indices[i])}
            yield File(ACTIVATIONS.format(**address), _neuron(address, own, texts, random))
            text = drawn.sentence(random, int(liked[i]))
            yield File(EXPLANATIONS.format(**address), _results(address, text, own, texts, float(wanted[i]), random))


Own = dict[SampleKind, tuple[Int64s, Float16s]]
"""By sample: the excerpts of one neuron and its activations on them."""


def _neuron(address: dict[str, int], own: Own, texts: Sequence[str], random: np.random.Generator) -> bytes:
    lists = {kind: f"[{', '.join(_records(*own[kind], texts))}]" for kind in own}
    bands = ", ".join(lists[kind] for kind in BANDS if kind in lists)
    mean, variance, skewness, kurtosis = random.normal([-0.08, 0.03, 4.0, 40.0], [0.02, 0.005, 0.5, 5.0]).round(6)
    return (
        f'{{"dataclass_name": "NeuronRecord", "neuron_id": {_neuron_id(address)}, "random_sample": '
        f'{lists[SampleKind.RANDOM]}, "random_sample_by_quantile": [{bands}], "quantile_boundaries": [0.5, 1, 2, 4], '
        f'"mean": {mean}, "variance": {variance}, "skewness": {skewness}, "kurtosis": {kurtosis}, '
        f'"most_positive_activation_records": {lists[SampleKind.TOP]}}}'
    ).encode()


def _neuron_id(address: dict[str, int]) -> str:
    return f'{{"dataclass_name": "NeuronId", "layer_index": {address["layer"]}, "neuron_index": {address["index"]}}}'


def _records(excerpts: Int64s, activations: Float16s, texts: Sequence[str]) -> Iterator[str]:
    for excerpt, row in zip(excerpts.tolist(), activations, strict=True):
        written = ", ".join(_WRITTEN[row.view(np.uint16)].tolist())
        yield f'{{"dataclass_name": "ActivationRecord", "tokens": {texts[excerpt]}, "activations": [{written}]}}'


_WRITTEN = np.array([repr(x) for x in np.arange(65_536, dtype=np.uint16).view(np.float16).tolist()], dtype=object)
"""Every number of float16 as Python writes it, by its bits: a data set has a billion of them."""


def _numbers(row: NDArray[np.floating]) -> str:
    return str(row.tolist())


def _results(
    address: dict[str, int], text: str, own: Own, texts: Sequence[str], wanted: float, random: np.random.Generator
) -> bytes:
    excerpts = np.concatenate([own[kind][0][ranks] for kind, ranks in VALIDATION.items()])
    real = np.concatenate([own[kind][1][ranks] for kind, ranks in VALIDATION.items()]).astype(np.float64)
    # A neuron that never fires on these excerpts would have neither a level nor a correlation.
    noise = random.normal(0, max(real.std(), _SMALLEST) * math.sqrt(1 / wanted**2 - 1), real.shape)
    expected = (real + noise).round(4)
    levels = (expected / max(real.max() / 10, _SMALLEST)).round(3)
    rows = ", ".join(
        _sequence(texts[excerpt], real[i], expected[i], levels[i]) for i, excerpt in enumerate(excerpts.tolist())
    )
    scored = f'"scored_sequence_simulations": [{rows}], {_scores(real, expected)}'
    return (
        f'{{"dataclass_name": "NeuronSimulationResults", "neuron_id": {_neuron_id(address)}, "scored_explanations": '
        f'[{{"dataclass_name": "ScoredExplanation", "explanation": {json.dumps(" " + text)}, "scored_simulation": '
        f'{{"dataclass_name": "ScoredSimulation", {scored}}}}}]}}\n'
    ).encode()


def _sequence(tokens: str, real: Float64s, expected: Float64s, levels: Float64s) -> str:
    inner = _simulation(tokens, levels, "simulated_normalized_activations", "null")
    outer = _simulation(tokens, expected, "neuron_activations", inner)
    return (
        f'{{"dataclass_name": "ScoredSequenceSimulation", "simulation": {outer}, '
        f'"true_activations": {_numbers(real)}, {_scores(real, expected)}}}'
    )


def _simulation(tokens: str, expected: Float64s, unit: str, inner: str) -> str:
    return (
        f'{{"dataclass_name": "SequenceSimulation", "tokens": {tokens}, "expected_activations": {_numbers(expected)}, '
        f'"activation_scale": "{unit}", "distribution_values": [], "distribution_probabilities": [], '
        f'"uncalibrated_simulation": {inner}}}'
    )


def _scores(real: Float64s, expected: Float64s) -> str:
    a, b = real.ravel(), expected.ravel()
    correlation = float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0
    uncentred = 1 - float(((a - b) ** 2).mean() / max((a**2).mean(), _SMALLEST))
    deviation = 1 - float(np.abs(a - b).mean() / max(np.abs(a).mean(), _SMALLEST))
    return (
        f'"ev_correlation_score": {correlation:.6f}, "rsquared_score": {uncentred:.6f}, '
        f'"absolute_dev_explained_score": {deviation:.6f}'
    )


def main() -> None:
    """Write a data set and print its size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic_files", description=__doc__)
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--output", type=Path, required=True, help="a folder, or a file ending in .tar, .tar.gz, .zip")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started, size = time.perf_counter(), 0

    def counted() -> Iterator[File]:
        nonlocal size
        for file in data_set(arguments.neurons, seed=arguments.seed):
            size += len(file.content)
            yield file

    n = write_files(counted(), arguments.output)
    Console().print(f"{n:,} files, {size / 1e9:.2f} GB of JSON, in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
