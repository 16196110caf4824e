"""The generated data set of benchmarks: what importers read of it, and what it looks like."""

import json

import numpy as np
import pytest

from app.domain.samples import SampleKind
from app.formats.openai.reader import OpenAIReader
from app.formats.problems import ReadingProblem
from app.formats.sources.source import Position
from benchmarks.generated_source import FILES_PER_NEURON, GeneratedFiles
from benchmarks.synthetic_activations import SAMPLE_SIZES
from benchmarks.synthetic_files import LAYERS, MEAN, _results, layer_means

N = 24


def refused(problem: ReadingProblem) -> None:
    raise AssertionError(problem)


def contents(source: GeneratedFiles, after: Position | None = None) -> dict[str, bytes]:
    found = {}
    for _, entry in source.entries(refused, after=after):
        with entry.open() as stream:
            found[entry.name] = stream.read()
    return found


def test_every_file_is_read_without_a_problem() -> None:
    source = GeneratedFiles(N)
    reader = OpenAIReader()
    records = [
        record
        for _, entry in source.entries(refused)
        if reader.reads(entry.name)
        for record in reader.records(entry, refused)
    ]
    assert len(records) == FILES_PER_NEURON * N
    assert sum(bool(record.explanations) for record in records) == N
    assert source.progress == 1.0
    assert source.n_bytes > N * 50_000


def test_the_same_files_come_again_and_reading_goes_on_after_a_position() -> None:
    whole = contents(GeneratedFiles(N))
    assert contents(GeneratedFiles(N)) == whole
    assert contents(GeneratedFiles(N, seed=1)) != whole
    names = list(whole)
    assert list(contents(GeneratedFiles(N), Position(5, names[4]))) == names[5:]


def test_scores_fall_with_depth_as_published() -> None:
    means = layer_means(LAYERS)
    assert means.mean() == pytest.approx(MEAN, abs=1e-3)
    assert means.argmax() == 1
    assert (np.diff(means[1:]) < 0).all()


def test_a_neuron_that_never_fires_is_still_json() -> None:
    tokens = '["a", "b"]'
    own = {
        kind: (np.zeros(size, dtype=np.int64), np.zeros((size, 2), dtype=np.float16))
        for kind, size in SAMPLE_SIZES.items()
    }
    assert SampleKind.TOP in own
    address = {"layer": 0, "index": 0}
    content = _results(address, "nothing", own, [tokens], 0.3, np.random.default_rng(0))

    def constant(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    assert json.loads(content, parse_constant=constant)["neuron_id"]["layer_index"] == 0
